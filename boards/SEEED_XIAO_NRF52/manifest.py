# What to freeze on top of the stock firmware of this board: in ports/nrf of a MicroPython tree,
# make BOARD=SEEED_XIAO_NRF52 FROZEN_MANIFEST=<this file>
include("$(PORT_DIR)/boards/manifest.py")
include("../../packages/all/manifest.py")
