# Written by: python -m boards.tools.packages
# loops: thumb (ARM), viper (others) or plain (no native emitter on the port).
options.defaults(loops="viper")
include("../core/manifest.py", loops=options.loops)
include("../agent/manifest.py", loops=options.loops)
include("../codec/manifest.py", loops=options.loops)
include("../compiler/manifest.py", loops=options.loops)
include("../adapters/manifest.py", loops=options.loops)
include("../guard/manifest.py", loops=options.loops)
include("../sdcard/manifest.py", loops=options.loops)
include("../selftest/manifest.py", loops=options.loops)
include("../spifram/manifest.py", loops=options.loops)
include("../spinor/manifest.py", loops=options.loops)
