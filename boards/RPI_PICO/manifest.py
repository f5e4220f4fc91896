# What is frozen into the firmware of an RPI_PICO: the stock modules, and edgeckpt.
# Also usable from a manifest of your own: include("<this repository>/boards/RPI_PICO/manifest.py")
freeze("$(PORT_DIR)/modules", "rp2.py")
freeze("modules", "_boot.py")
include("$(MPY_DIR)/extmod/asyncio")
include("../../packages/all/manifest.py", loops="thumb")
for name in ("onewire", "ds18x20", "dht", "neopixel"):
    try:
        require(name)
    except Exception:
        pass  # no micropython-lib in this tree: Debian's sources come without it
