# Written by: python -m boards.tools.packages
# loops: thumb (ARM), viper (others) or plain (no native emitter on the port).
options.defaults(loops="viper")
include("../core/manifest.py", loops=options.loops)
merge = __import__("runpy").run_path("../../host_tools/edgeckpt_host/merge.py")
folder = merge["frozen"]("guard", options.loops)
package("edgeckpt", base_path=folder, opt=3)
