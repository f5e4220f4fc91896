# What to freeze on top of the stock firmware of this board: in ports/samd of a MicroPython tree,
# make BOARD=ADAFRUIT_FEATHER_M4_EXPRESS FROZEN_MANIFEST=<this file>
include("$(PORT_DIR)/boards/manifest.py")
include("../../packages/all/manifest.py")
