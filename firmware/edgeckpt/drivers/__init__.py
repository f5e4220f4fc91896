"""Drivers of the media that checkpoints go to: `spinor`, `sdcard`, and `adapters` for the flash
and card objects that MicroPython's ports bring. Each module is imported by itself.
"""
