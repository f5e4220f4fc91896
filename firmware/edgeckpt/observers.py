"""Observers, so that nobody preempts, resets or interrupts a flush in its middle.

Promises: what observe.py says; nothing here allocates once built. Loaded when one of these names
is asked for.
"""

from .errors import Catch, LeaseError
from .observe import CheckpointFlushObserver


class NonPreemptibleReason:
    """Why a lease may not be preempted now."""

    CheckpointInProgress = "CheckpointInProgress"


class PreemptionManager:
    """Which leases may not be preempted at the moment, and why. For `capacity` leases at once.

    A scheduler asks `is_preemptible(lease_id)` (safe in an interrupt handler) before it
    preempts, resets or cuts power.
    """

    def __init__(self, capacity=8):
        self._ids = [None] * capacity
        self._reasons = [None] * capacity
        self._owners = [None] * capacity

    def _find(self, lease_id):
        i = len(self._ids) - 1
        while i >= 0:
            if self._reasons[i] is not None and self._ids[i] == lease_id:
                return i
            i -= 1
        return -1

    def mark_non_preemptible(self, lease_id, reason, owner=None):
        """Mark the lease, for `owner`. LeaseError `argument` if it is marked already, or the
        table full."""
        if self._find(lease_id) >= 0:
            raise LeaseError(
                "argument", "mark_non_preemptible", lease_id, "a lease not marked yet"
            )
        i = 0
        while i < len(self._ids):
            if self._reasons[i] is None:
                self._ids[i] = lease_id
                self._owners[i] = owner
                self._reasons[i] = reason
                return
            i += 1
        raise LeaseError("argument", "mark_non_preemptible", lease_id, "a free place in the table")

    def clear_non_preemptible(self, lease_id):
        """Take the mark away. LeaseError `argument` if there is none."""
        i = self._find(lease_id)
        if i < 0:
            raise LeaseError("argument", "clear_non_preemptible", lease_id, "a marked lease")
        self._free(i)

    def clear_if_owned(self, lease_id, owner):
        """Take away the mark that `owner` set; where there is none, do nothing."""
        i = self._find(lease_id)
        if i >= 0 and self._owners[i] is owner:
            self._free(i)

    def _free(self, i):
        self._reasons[i] = None
        self._ids[i] = None
        self._owners[i] = None

    def is_preemptible(self, lease_id):
        return self._find(lease_id) < 0

    def reason(self, lease_id):
        """The `NonPreemptibleReason` of the lease, or None."""
        i = self._find(lease_id)
        return None if i < 0 else self._reasons[i]


class PreemptionCheckpointObserver(CheckpointFlushObserver):
    """Marks the lease `NonPreemptibleReason.CheckpointInProgress` while a flush runs.

    One may serve several stages. A mark that somebody else set refuses the flush, and stays.
    """

    def __init__(self, manager):
        self._manager = manager

    def on_flush_start(self, lease_id):
        self._manager.mark_non_preemptible(
            lease_id, NonPreemptibleReason.CheckpointInProgress, self
        )

    def on_flush_complete(self, lease_id):
        # Twice: a Ctrl-C that interrupts the first must not leave the lease marked for good.
        try:
            self._clear(lease_id)
        finally:
            self._clear(lease_id)

    def _clear(self, lease_id):
        self._manager.clear_if_owned(lease_id, self)


class KeyboardInterruptMask(CheckpointFlushObserver):
    """Keeps Ctrl-C from interrupting a flush (`micropython.kbd_intr`).

    A Ctrl-C typed meanwhile is an ordinary input byte. `restore_char` is what the port listens
    to again afterwards (3 is Ctrl-C).
    """

    def __init__(self, restore_char=3):
        from micropython import kbd_intr

        self._set = kbd_intr
        self._char = restore_char

    def on_flush_start(self, lease_id):
        self._set(-1)

    def on_flush_complete(self, lease_id):
        self._set(self._char)


class FlushPin(CheckpointFlushObserver):
    """Drives a pin to `active` while a flush runs, for a supervisor that cuts power.

    `pin`: a `machine.Pin` that is set up as an output. It is driven inactive at once.
    """

    def __init__(self, pin, active=1):
        self._pin = pin
        self._active = active
        pin.value(1 - active)

    def on_flush_start(self, lease_id):
        self._pin.value(self._active)

    def on_flush_complete(self, lease_id):
        self._pin.value(1 - self._active)


class Observers(CheckpointFlushObserver):
    """Several observers as one: started in order, completed in reverse order.

    Where one raises in its start, those after it are not started, and all that were started are
    completed. Where one raises in its completion, the others are completed all the same and the
    first error is raised on. An `Observers` serves one stage.
    """

    def __init__(self, *observers):
        self._all = observers
        self._started = 0
        self._caught = Catch()

    def on_flush_start(self, lease_id):
        self._started = 0
        while self._started < len(self._all):
            self._started += 1
            self._all[self._started - 1].on_flush_start(lease_id)

    def on_flush_complete(self, lease_id):
        with self._caught:
            self._complete(lease_id)
        with self._caught:
            self._complete(lease_id)  # those that a Ctrl-C between two of them left out
        if self._caught.error is not None:
            raise self._caught.take()

    def _complete(self, lease_id):
        while self._started > 0:
            self._started -= 1
            with self._caught:
                self._all[self._started].on_flush_complete(lease_id)
