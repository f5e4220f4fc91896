"""Types of the board's module, for editors and type checkers; what runs is firmware/edgeckpt."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

_S = TypeVar("_S")
_Lease = int | bytes

__version__: str

class _Device(Protocol):
    """A block device as MicroPython has it; those that erase take an offset, too."""

    def readblocks(self, block: int, buf: Any, /) -> Any: ...
    def writeblocks(self, block: int, buf: Any, /) -> Any: ...
    def ioctl(self, op: int, arg: int, /) -> Any: ...

class EdgeError(Exception):
    reason: str
    where: Any
    got: Any
    want: Any
    cause: BaseException | None
    offset: int | None
    def __init__(
        self,
        reason: str,
        where: Any = None,
        got: Any = None,
        want: Any = None,
        cause: BaseException | None = None,
        offset: int | None = None,
    ) -> None: ...

class CheckpointFailed(EdgeError): ...
class RestoreFailed(EdgeError): ...
class LeaseError(EdgeError): ...
class SchemaError(EdgeError): ...
class EncodeError(EdgeError): ...
class DecodeError(EdgeError): ...

class BlockLease:
    lease_id: _Lease
    id_bytes: bytes
    start: int
    count: int
    blocks: int
    block_size: int
    unit_blocks: int
    units: int
    erase_unit: int
    erases: bool
    def __init__(
        self,
        device: _Device,
        start: int,
        count: int,
        lease_id: _Lease,
        *,
        block_size: int | None = None,
        erase: bool | None = None,
        ecc: bool = False,
    ) -> None: ...
    def release(self) -> None: ...
    def wipe(self) -> None: ...

class CheckpointFlushObserver:
    def on_flush_start(self, lease_id: _Lease) -> None: ...
    def on_flush_complete(self, lease_id: _Lease) -> None: ...

class CheckpointedStageState(Generic[_S]):
    fell_back: bool
    state: _S
    def __init__(
        self,
        state: _S,
        lease: BlockLease,
        schema: str | None = None,
        *,
        capacity: int | None = None,
        observer: CheckpointFlushObserver | None = None,
        magic: bytes = ...,
        version: int = ...,
    ) -> None: ...
    @classmethod
    def with_observer(
        cls,
        state: _S,
        lease: BlockLease,
        lease_id: _Lease,
        observer: CheckpointFlushObserver,
        schema: str | None = None,
        **options: Any,
    ) -> CheckpointedStageState[_S]: ...
    @classmethod
    def resume(
        cls,
        state: _S,
        lease: BlockLease,
        schema: str | None = None,
        *,
        into: Any = None,
        fallback: bool = False,
        plain: bool = False,
        migrate: bool | Callable[[Any, str], Any] | None = None,
        moved_from: BlockLease | None = None,
        **options: Any,
    ) -> CheckpointedStageState[_S]: ...
    @classmethod
    def restore(
        cls,
        lease: BlockLease,
        schema: str | None = None,
        *,
        into: Any = None,
        fallback: bool = False,
        plain: bool = False,
        migrate: bool | Callable[[Any, str], Any] | None = None,
        capacity: int | None = None,
        observer: CheckpointFlushObserver | None = None,
        magic: bytes = ...,
        version: int = ...,
    ) -> CheckpointedStageState[Any]: ...
    @property
    def sequence(self) -> int: ...
    def checkpoint(self) -> None: ...
    def prepare(self) -> None: ...
    def history(self) -> list[tuple[int, int]]: ...
    def older(self, sequence: int, into: Any = None) -> Any: ...
    def into_block_lease(self) -> BlockLease: ...

class NonPreemptibleReason:
    CheckpointInProgress: str

class PreemptionManager:
    def __init__(self, capacity: int = 8) -> None: ...
    def mark_non_preemptible(self, lease_id: _Lease, reason: str, owner: Any = None) -> None: ...
    def clear_non_preemptible(self, lease_id: _Lease) -> None: ...
    def clear_if_owned(self, lease_id: _Lease, owner: Any) -> None: ...
    def is_preemptible(self, lease_id: _Lease) -> bool: ...
    def reason(self, lease_id: _Lease) -> str | None: ...

class PreemptionCheckpointObserver(CheckpointFlushObserver):
    def __init__(self, manager: PreemptionManager) -> None: ...

class KeyboardInterruptMask(CheckpointFlushObserver):
    def __init__(self, restore_char: int = 3) -> None: ...

class FlushPin(CheckpointFlushObserver):
    def __init__(self, pin: Callable[[int], Any], active: int = 1) -> None: ...

class Observers(CheckpointFlushObserver):
    def __init__(self, *observers: CheckpointFlushObserver) -> None: ...
