"""Runs a script as on a port without a native emitter: `no_native.py SCRIPT [ARGUMENT ..]`.

There `edgeckpt.loops_viper` does not import, and viper code does not compile.
"""

import sys


class Nothing:
    pass


sys.modules["edgeckpt.loops_viper"] = Nothing()

from edgeckpt import generate, loops  # noqa: E402

built = generate.built
refused = 0


def bytecode_only(source):
    global refused
    if source.native:
        refused += 1
        raise SyntaxError("invalid micropython decorator")
    return built(source)


generate.built = bytecode_only
del sys.argv[0]
with open(sys.argv[0]) as f:
    program = f.read()
exec(program, {"__name__": "__main__"})
assert loops.copy is sys.modules["edgeckpt.loops_plain"].copy
print("without viper:", refused, "encoders as bytecode")
