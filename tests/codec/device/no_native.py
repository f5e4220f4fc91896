"""Runs a script as on a port without a native emitter: `no_native.py SCRIPT [ARGUMENT ..]`.

There no module with machine code imports.
"""

import sys


class Nothing:
    pass


for name in ("loops_viper", "codec.varints_viper"):
    sys.modules["edgeckpt." + name] = Nothing()

from edgeckpt import loops  # noqa: E402
from edgeckpt.codec import varints  # noqa: E402

del sys.argv[0]
with open(sys.argv[0]) as f:
    program = f.read()
exec(program, {"__name__": "__main__"})
assert loops.copy is sys.modules["edgeckpt.loops_plain"].copy
assert varints.varint is sys.modules["edgeckpt.codec.varints_plain"].varint
print("without viper")
