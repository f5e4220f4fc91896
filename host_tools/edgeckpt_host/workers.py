"""Several boards at once: a thread for each, and one way to end them all.

Promises: the results are handed over in the order of the boards, each as soon as it and those
before it are there. Ctrl-C, or a failure that is no board's, ends every worker at its next look
at the line (stream.StoppableStream), and none is waited for longer than `patience` seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from .errors import HostError

T = TypeVar("T")


def at_once(
    jobs: Sequence[Callable[[], T]],
    done: Callable[[int, T | HostError], None],
    stop: Event,
    patience: float,
) -> None:
    """Run all jobs; `done(i, result)` for each, in this thread. What a job raises is its result,
    if it is a HostError, and is raised here if not."""
    results: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()

    def run(i: int) -> None:
        try:
            results.put((i, jobs[i]()))
        except BaseException as e:
            results.put((i, e))

    # Daemons: one that hangs in the driver of its port does not keep the command from ending.
    threads = [Thread(target=run, args=(i,), daemon=True) for i in range(len(jobs))]
    there: dict[int, T | HostError] = {}
    try:
        for thread in threads:
            thread.start()
        for i in range(len(jobs)):
            while i not in there:
                with suppress(Empty):  # Windows sees a Ctrl-C only between two waits
                    n, result = results.get(timeout=0.2)
                    if isinstance(result, BaseException) and not isinstance(result, HostError):
                        raise result
                    there[n] = result
            done(i, there.pop(i))
    finally:
        stop.set()
        end = time.monotonic() + patience
        for thread in threads:
            if thread.ident:
                thread.join(max(0.0, end - time.monotonic()))
