# What to freeze on top of the stock firmware of this board:
# make BOARD=ESP32_GENERIC_C3 FROZEN_MANIFEST=<this file>, in ports/esp32 of a MicroPython tree.
include("$(PORT_DIR)/boards/manifest.py")
include("../../packages/all/manifest.py")
