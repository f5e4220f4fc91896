# What is frozen into the firmware of an RPI_PICO_W: as for the Pico, its _boot.py included, and
# what the stock firmware has for the network.
include("../RPI_PICO/manifest.py")
for name in ("bundle-networking", "aioble"):
    try:
        require(name)
    except Exception:
        pass  # no micropython-lib in this tree
