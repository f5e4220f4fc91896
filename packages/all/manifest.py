# Written by: python -m boards.tools.packages
include("../core/manifest.py")
include("../agent/manifest.py")
include("../codec/manifest.py")
include("../compiler/manifest.py")
include("../adapters/manifest.py")
include("../sdcard/manifest.py")
include("../spinor/manifest.py")
