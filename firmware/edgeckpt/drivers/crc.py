"""The checksums of SD cards, from the fastest of `crc_thumb`, `crc_viper` and `crc_plain` that
the port has; see `edgeckpt.loops`.
"""

try:
    try:
        from .crc_thumb import crc7, crc16
    except (SyntaxError, ValueError, ImportError, NameError, AttributeError):
        from .crc_viper import crc7, crc16
except (SyntaxError, ValueError, ImportError, NameError, AttributeError):
    from .crc_plain import crc7, crc16

__all__ = ["crc16", "crc7"]
