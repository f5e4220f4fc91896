# What to freeze on top of the stock firmware of this board:
# make BOARD=PYBV11 FROZEN_MANIFEST=<this file>, in ports/stm32 of a MicroPython tree.
include("$(PORT_DIR)/boards/manifest.py")
include("../../packages/all/manifest.py", loops="thumb")
