"""What is told that a flush runs; the observers that there are: observers.py.

Promises: an observer whose `on_flush_start` was called gets `on_flush_complete` exactly once,
on success and on every failure, its own raise in start included. A start that raises means
that nothing was written.
"""


class CheckpointFlushObserver:
    """Base of observers; does nothing. `lease_id` is the object given to the stage.

    `on_flush_start` runs before the first device operation of a checkpoint or `prepare()`;
    raising from it refuses the flush. `on_flush_complete` runs after the last one. Both must
    not allocate if the checkpoint is to stay allocation-free.
    """

    def on_flush_start(self, lease_id):
        pass

    def on_flush_complete(self, lease_id):
        pass
