"""Varints of numbers that are objects, from the fastest of `varints_thumb`, `varints_viper` and
`varints_plain` that the port has; see `edgeckpt.loops`.
"""

try:
    try:
        from .varints_thumb import varint, zigzag
    except (SyntaxError, ValueError, ImportError, NameError, AttributeError):
        from .varints_viper import varint, zigzag
except (SyntaxError, ValueError, ImportError, NameError, AttributeError):
    from .varints_plain import varint, zigzag

__all__ = ["varint", "zigzag"]
