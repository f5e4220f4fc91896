# What to freeze on top of the stock firmware of this board: in ports/stm32 of a MicroPython tree,
# make BOARD=NUCLEO_L476RG FROZEN_MANIFEST=<this file>
include("$(PORT_DIR)/boards/manifest.py")
include("../../packages/all/manifest.py")
