"""What the core scripts share: they run on MicroPython and on CPython, without a test runner."""

import sys


def raises(kind, reason, call, *args, **options):
    """Call it; it must raise `kind` with `reason`. Returns the error, whose sentence is short."""
    try:
        call(*args, **options)
    except kind as e:
        assert e.reason == reason, "reason %r, expected %r: %s" % (e.reason, reason, e)
        text = str(e)
        assert text and "{where" not in text, text
        return e
    raise AssertionError("nothing raised, expected %s %r" % (kind.__name__, reason))


class Failing:
    """Base of the test devices. `fail_at`: the operation (1 is the next program, erase or sync)
    that answers `answer` (an exception is raised) without doing its work, after a call of
    `probe`; `for_good`: as do all after it."""

    def __init__(self):
        self.fail_at = 0
        self.for_good = False
        self.answer = -5
        self.ops = 0
        self.probe = None

    def _fails(self):
        self.ops += 1
        if not self.fail_at or self.ops < self.fail_at:
            return False
        if self.ops > self.fail_at and not self.for_good:
            return False
        if self.probe is not None:
            self.probe()
        if isinstance(self.answer, Exception):
            raise self.answer
        return True


def run(names):
    """Run every function of the dict `names` that starts with test_, in order of their names;
    with words on the command line, those that start with one of them."""
    only = sys.argv[1:] or ["test_"]
    chosen = [n for n in sorted(names) if n.startswith("test_")]
    chosen = [n for n in chosen if any(n.startswith(o) for o in only)]
    assert chosen, "no test is called %s" % " or ".join(only)
    for name in chosen:
        names[name]()
    print("ok", len(chosen))
