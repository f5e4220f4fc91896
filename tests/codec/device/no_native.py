"""Runs a script as on a port without a native emitter: `no_native.py SCRIPT [ARGUMENT ..]`.

There `edgeckpt.loops_viper` does not import.
"""

import sys


class Nothing:
    pass


sys.modules["edgeckpt.loops_viper"] = Nothing()

from edgeckpt import loops  # noqa: E402

del sys.argv[0]
with open(sys.argv[0]) as f:
    program = f.read()
exec(program, {"__name__": "__main__"})
assert loops.copy is sys.modules["edgeckpt.loops_plain"].copy
print("without viper")
