"""The byte loops, for core and drivers: the fastest that the port has, chosen at the import.

`loops_thumb`: machine code of ARM; `loops_viper`: by the native emitter; `loops_plain`: bytecode,
and what each does. Two buffers are compared by `==`, which is machine code everywhere.
"""

try:
    try:
        from .loops_thumb import blank, copy, crc, fill
    except (SyntaxError, ValueError, ImportError, NameError, AttributeError):
        # No assembler for this processor, or a .mpy of another; on the host no such decorator.
        from .loops_viper import blank, copy, crc, fill
except (SyntaxError, ValueError, ImportError, NameError, AttributeError):
    from .loops_plain import blank, copy, crc, fill

__all__ = ["blank", "copy", "crc", "fill"]
