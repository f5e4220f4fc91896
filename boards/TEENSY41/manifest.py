# What to freeze on top of the stock firmware of this board:
# make BOARD=TEENSY41 FROZEN_MANIFEST=<this file>, in ports/mimxrt of a MicroPython tree.
include("$(PORT_DIR)/boards/manifest.py")
include("../../packages/all/manifest.py", loops="thumb")
