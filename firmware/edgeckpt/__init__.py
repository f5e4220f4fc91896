"""edgeckpt: durable checkpoints for MicroPython boards.

lease = edgeckpt.BlockLease(device, start, count, lease_id)
stage = edgeckpt.CheckpointedStageState(state, lease, schema)
stage.checkpoint()
stage = edgeckpt.CheckpointedStageState.restore(lease)
"""

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
from .observe import (
    CheckpointFlushObserver,
    FlushPin,
    KeyboardInterruptMask,
    NonPreemptibleReason,
    Observers,
    PreemptionCheckpointObserver,
    PreemptionManager,
)
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
