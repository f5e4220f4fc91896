"""What the virtual board runs before main.py: it makes the unix port behave as a board does.

On a board Ctrl-C interrupts a running program unless `micropython.kbd_intr(-1)` is set. Here the
supervisor turns a 0x03 byte into SIGINT while ISIG is set on the board's terminal, so `kbd_intr`
has to move that flag: the port's own would make SIGINT kill the process. Then main.py runs, in
the globals that the REPL shows afterwards.
"""

import os
import sys
import termios

import micropython


class _Micropython:
    """The module `micropython`, with `kbd_intr` as on a board."""


def _kbd_intr(char):
    flags = termios.tcgetattr(0)
    isig = 1  # ISIG, asm-generic/termbits.h (macOS: 0x80)
    if sys.platform == "darwin":
        isig = 0x80
    flags[3] = flags[3] & ~isig | (isig if char == 3 else 0)
    termios.tcsetattr(0, termios.TCSANOW, flags)


def _boot():
    shim = _Micropython()
    for name in dir(micropython):
        if not name.startswith("__"):
            setattr(shim, name, getattr(micropython, name))
    shim.kbd_intr = _kbd_intr
    sys.modules["micropython"] = shim
    sys.path[0] = ""  # the board's file system, not the folder of this script
    app = os.getenv("VBOARD_APP")
    if app:
        sys.path.insert(0, app.rsplit("/", 1)[0] if "/" in app else "")
    # A Ctrl-C is an interrupt from here on; before, there is no handler for it.
    _kbd_intr(3)
    return app


_app = _boot()
if _app:
    try:
        with open(_app) as _f:
            exec(compile(_f.read(), _app, "exec"), globals())
    except BaseException as _e:  # SystemExit too: a board goes on to its REPL
        sys.print_exception(_e)
