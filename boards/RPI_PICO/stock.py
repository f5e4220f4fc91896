# As manifest.py, without edgeckpt: a firmware to install it on.
freeze("$(PORT_DIR)/modules", "rp2.py")
freeze("modules", "_boot.py")
include("$(MPY_DIR)/extmod/asyncio")
