"""The byte loops, each from `_fast` (viper) where the port has it, else from `_plain`.

crc, copy, fill, blank; strlen, utf8, varint, zigzag for the codec: see `_plain` for each.
"""

try:
    from ._fast import blank, copy, crc, fill, strlen, utf8, varint, zigzag
except (ImportError, SyntaxError, ValueError, NameError, AttributeError):
    # No native emitter, a .mpy of another architecture; on the host a package has the name.
    from ._plain import blank, copy, crc, fill, strlen, utf8, varint, zigzag

__all__ = ["blank", "copy", "crc", "fill", "strlen", "utf8", "varint", "zigzag"]
