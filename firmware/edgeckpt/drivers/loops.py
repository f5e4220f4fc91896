"""The byte loops of the drivers, from `fast` (viper) where the port has it, else from `plain`."""

try:
    from .fast import copy, crc7, crc16, overlay, place
except (ImportError, SyntaxError, ValueError, NameError, AttributeError):
    from .plain import copy, crc7, crc16, overlay, place

__all__ = ["copy", "crc7", "crc16", "overlay", "place"]
