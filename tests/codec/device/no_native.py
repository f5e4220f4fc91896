"""Runs a script as on a port without a native emitter: `no_native.py SCRIPT [ARGUMENT ..]`.

There `edgeckpt._fast` does not import.
"""

import sys


class Nothing:
    pass


sys.modules["edgeckpt._fast"] = Nothing()

from edgeckpt import loops  # noqa: E402

del sys.argv[0]
with open(sys.argv[0]) as f:
    program = f.read()
exec(program, {"__name__": "__main__"})
assert loops.copy is sys.modules["edgeckpt._plain"].copy
print("without viper")
