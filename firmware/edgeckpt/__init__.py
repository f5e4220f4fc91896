"""edgeckpt: durable checkpoints for MicroPython boards.

lease = edgeckpt.BlockLease(device, start, count, lease_id)
stage = edgeckpt.CheckpointedStageState(state, lease, schema)
stage.checkpoint()
stage = edgeckpt.CheckpointedStageState.restore(lease)
"""

import sys

from .errors import (
    CheckpointFailed,
    DecodeError,
    EdgeError,
    EncodeError,
    LeaseError,
    RestoreFailed,
    SchemaError,
)
from .lease import BlockLease
from .observe import CheckpointFlushObserver
from .stage import CheckpointedStageState

__version__ = "0.1.0"

# Not the modules: `from edgeckpt import *` must not hide a caller's own `crc32` or `header`.
__all__ = [
    "BlockLease",
    "CheckpointFailed",
    "CheckpointFlushObserver",
    "CheckpointedStageState",
    "DecodeError",
    "EdgeError",
    "EncodeError",
    "FlushPin",
    "KeyboardInterruptMask",
    "LeaseError",
    "NonPreemptibleReason",
    "Observers",
    "PreemptionCheckpointObserver",
    "PreemptionManager",
    "RestoreFailed",
    "SchemaError",
]

_OBSERVERS = (
    "FlushPin",
    "KeyboardInterruptMask",
    "NonPreemptibleReason",
    "Observers",
    "PreemptionCheckpointObserver",
    "PreemptionManager",
)


def __getattr__(name):
    # What is not loaded yet: names of observers.py, and modules for `from . import`.
    if name in _OBSERVERS:
        from . import observers

        return getattr(observers, name)
    if name[0] == "_":
        raise AttributeError(name)
    try:
        __import__("edgeckpt." + name)
    except ImportError:
        raise AttributeError(name)
    return sys.modules["edgeckpt." + name]
