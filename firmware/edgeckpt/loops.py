"""The byte loops: CRC-32, copy, fill, blank; viper where the port has it, else bytecode."""

try:
    from ._fast import blank, copy, crc, fill
except (ImportError, SyntaxError, AttributeError):  # on the host a package has the name
    from ._plain import blank, copy, crc, fill

__all__ = ["blank", "copy", "crc", "fill"]
