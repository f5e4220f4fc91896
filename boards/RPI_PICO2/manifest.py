# What to freeze on top of the stock firmware of this board:
# make BOARD=RPI_PICO2 FROZEN_MANIFEST=<this file>, in ports/rp2 of a MicroPython tree.
include("$(PORT_DIR)/boards/manifest.py")
package("edgeckpt", base_path="../../firmware")
