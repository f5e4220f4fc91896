"""launch.py SCRIPT: run a script of tests/core/device with the `nor_device` beside this file."""

import sys

import edgeckpt

print("edgeckpt", edgeckpt.__version__)
with open(sys.argv[1]) as f:
    exec(compile(f.read(), sys.argv[1], "exec"), {"__name__": "__main__"})
