"""A second core that calls into a stage while a checkpoint runs, between any two bytecodes.

CPython, two threads and a tracer: one is stopped before a bytecode of its checkpoint(), the other
runs up to a bytecode of its own call, then the first one goes on to its end, then the second. So
each pair is one order of events, the same every time. Right: of two flushes one is `busy`, or
they run one after the other; whatever returned is on the medium.
"""

import sys
import threading

from check import run
from edgeckpt import CheckpointFailed
from ring_cases import Board, Tells, Tracer, headers, nor, state


class Stop(Tracer):
    """Stops its thread before bytecode `at`: tells `reached`, waits for `go`."""

    def __init__(self, at):
        Tracer.__init__(self, at, self._stop)
        self.reached = threading.Event()
        self.go = threading.Event()

    def _stop(self):
        self.reached.set()
        if not self.go.wait(60):
            raise AssertionError("the other core never came")


class Core(threading.Thread):
    """Runs `call` under a `Stop`; `outcome`: None, the reason of a CheckpointFailed, or what else
    was raised."""

    def __init__(self, call, at):
        threading.Thread.__init__(self, daemon=True)
        self.call = call
        self.stop = Stop(at)
        self.outcome = "never ran"

    def run(self):
        try:
            self.stop.run(self.call)
            self.outcome = None
        except CheckpointFailed as e:
            self.outcome = e.reason
        except BaseException as e:
            self.outcome = e
        self.stop.reached.set()


def meet(board, tells, n, name, first_at, second_at):
    """One order: whether the second core's call was stopped within it."""
    board.stage.state[:] = state(n)
    first = Core(board.stage.checkpoint, first_at)
    second = Core(getattr(board.stage, name), second_at)
    first.start()
    first.stop.reached.wait(60)
    second.start()
    second.stop.reached.wait(60)
    within = second.stop.where is not None and second.is_alive()
    first.stop.go.set()
    first.join(60)
    second.stop.go.set()
    second.join(60)
    case = (name, first_at, second_at, first.stop.where, second.stop.where)
    outcomes = {first.outcome, second.outcome}
    assert outcomes in ({None}, {None, "busy"}), (case, outcomes)
    assert tells.started == tells.completed, case
    if first.outcome is None or name == "checkpoint":
        assert headers(board.device.data, 256)[0][0] == board.stage.sequence, case
        assert board.boot(observer=tells) == n, case
    else:
        board.boot(observer=tells)
    return within


def orders(name):
    board = Board(nor(8), 8)
    tells = Tells()
    board.boot(observer=tells)
    board.save(0)
    n = 0
    # Before the flush of the first is known, each bytecode; later on some.
    for first_at in list(range(1, 26)) + [60, 200, 500]:
        for second_at in list(range(1, 26, 2)) + [70, 300]:
            n += 1
            meet(board, tells, n, name, first_at, second_at)
    return n


def test_two_cores():
    if sys.implementation.name == "cpython":
        for name in ("checkpoint", "prepare"):
            assert orders(name) > 300


if __name__ == "__main__":
    run(globals())
