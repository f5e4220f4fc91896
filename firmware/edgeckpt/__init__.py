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
