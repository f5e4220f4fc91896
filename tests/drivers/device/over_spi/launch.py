"""launch.py SCRIPT [TEST...]: run a script of tests/core/device over the `nor_device` here."""

import sys

import edgeckpt

print("edgeckpt", edgeckpt.__version__)
script = sys.argv.pop(1)  # what is left is for the script
with open(script) as f:
    exec(compile(f.read(), script, "exec"), {"__name__": "__main__"})
