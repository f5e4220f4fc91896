# What is frozen into the firmware of an RPI_PICO2: as for the Pico, its _boot.py included.
include("../RPI_PICO/manifest.py")
