"""What each command gives: one dataclass for the API, for --json and for what people read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from .board import Lease
from .image import CheckpointInfo, PlainInfo
from .shapes import Count, Crc, Health, LeaseId, Result, Sequence, Slot, UsbId
from .wear import Wear

ImageInfo = CheckpointInfo | PlainInfo


@dataclass
class Port:
    """A serial port that may be a board's."""

    port: str
    id: UsbId
    serial_number: str | None
    description: str


@dataclass
class Ports(Result):
    command: ClassVar[str] = "ports"
    port: ClassVar[bool | None] = False
    ports: list[Port]


@dataclass
class AgentInfo:
    """What the agent says of itself (docs/protocol.md, HELLO)."""

    protocol: Count
    version: str
    platform: str
    python: str
    frame: Count
    ring: Count
    read_only: bool
    key: bool
    leases: Count


@dataclass
class Checkpoint:
    """One that is still in the lease."""

    sequence: Sequence
    slot: Count
    data_len: Count
    data_crc: Crc
    schema_crc: Crc | None
    schema: str | None


@dataclass
class LeaseReport(Lease):
    """A lease and its checkpoints, newest first."""

    history: list[Checkpoint] = field(default_factory=list)


@dataclass
class Entry:
    sequence: Sequence
    slot: Count


@dataclass
class DumpInfo:
    """A lease in a file."""

    lease_start: Count
    slots: Count
    newest: Slot
    corrupt: Slot
    damaged: Slot
    given_up: Count
    history: list[Entry]


@dataclass
class FileInfo(Result):
    command: ClassVar[str] = "info"
    port: ClassVar[bool | None] = False
    file: str
    bytes: Count
    image: ImageInfo | None
    dump: DumpInfo | None
    notes: list[str]


@dataclass
class BoardInfo(Result):
    command: ClassVar[str] = "info"
    board: AgentInfo
    leases: list[LeaseReport]


@dataclass
class Log(Result):
    command: ClassVar[str] = "log"
    lease_id: LeaseId
    newest: Slot
    corrupt: Slot
    checkpoints: list[Checkpoint]


@dataclass
class Pulled(Result):
    """moved: bytes that came over the line."""

    command: ClassVar[str] = "pull"
    file: str
    bytes: Count
    moved: Count
    resumed_blocks: Count
    image: ImageInfo


@dataclass
class PulledLease(Result):
    command: ClassVar[str] = "pull"
    file: str
    bytes: Count
    moved: Count
    resumed_blocks: Count
    lease: Lease


@dataclass
class VerifiedFile(Result):
    """signed: a key was given, and the signature holds by it."""

    command: ClassVar[str] = "verify"
    port: ClassVar[bool | None] = False
    file: str
    image: ImageInfo
    decoded: bool
    signed: bool
    notes: list[str]


@dataclass
class Verdict:
    sequence: Sequence
    slot: Count
    ok: bool


@dataclass
class Verified(Result):
    command: ClassVar[str] = "verify"
    lease_id: LeaseId
    health: Health
    checkpoints: list[Verdict]
    moved: Count


@dataclass
class Compared(Result):
    """differing: layout blocks that are not as in the file."""

    command: ClassVar[str] = "verify"
    lease_id: LeaseId
    file: str
    blocks: Count
    differing: list[Count]
    moved: Count


@dataclass
class Restored(Result):
    """resumed: the byte it went on from."""

    command: ClassVar[str] = "restore"
    dry_run: Literal[False]
    file: str
    lease_id: LeaseId
    moved: Count
    sequence: Sequence
    slot: Count
    resumed: Count


@dataclass
class Plan:
    """What a restore would write and erase."""

    slot_blocks: Count
    programs: Count
    erases: Count
    erase_unit: Count | None
    sequence: Sequence
    replaces: Slot
    writable: bool


@dataclass
class Planned(Result):
    command: ClassVar[str] = "restore"
    dry_run: Literal[True]
    lease_id: LeaseId
    plan: Plan


@dataclass
class Shown(Result):
    command: ClassVar[str] = "show"
    port: ClassVar[bool | None] = None
    image: ImageInfo
    notes: list[str]
    schema: str | None
    state: Any
    plain: Any


@dataclass
class Difference:
    path: str
    old: Any
    new: Any


@dataclass
class Differences(Result):
    command: ClassVar[str] = "diff"
    port: ClassVar[bool | None] = None
    old: ImageInfo
    new: ImageInfo
    differences: list[Difference]


@dataclass
class Made(Result):
    command: ClassVar[str] = "make"
    port: ClassVar[bool | None] = False
    file: str
    bytes: Count
    image: ImageInfo


@dataclass
class Signed(Result):
    command: ClassVar[str] = "sign"
    port: ClassVar[bool | None] = False
    file: str
    signature: str
    lease_id: LeaseId
    sequence: Sequence


@dataclass
class Watched(Result):
    command: ClassVar[str] = "watch"
    looks: Count
    lease: Lease


@dataclass
class Look:
    """One look of `watch`; state: exact, None where it has not changed."""

    look: Count
    time: float
    lease: Lease
    state: Any


@dataclass
class Installed(Result):
    command: ClassVar[str] = "install"
    directory: str
    files: list[str]
    version: str


@dataclass
class Speed(Result):
    command: ClassVar[str] = "bench"
    ping_ms: float
    echo_bytes_per_s: Count
    digest_bytes_per_s: Count
    read_bytes_per_s: Count
    read_moved: Count
    frame: Count


@dataclass
class Round:
    bytes: Count
    seconds: float
    ok: bool
    sequence: Sequence
    slot: Count
    resumed: Count


@dataclass
class Tested(Result):
    command: ClassVar[str] = "selftest"
    lease_id: LeaseId
    rounds: list[Round]


@dataclass
class Reported(Result):
    command: ClassVar[str] = "report"
    port: ClassVar[bool | None] = None
    file: str
    bytes: Count
    leases: Count


@dataclass
class Worn(Result):
    command: ClassVar[str] = "wear"
    port: ClassVar[bool | None] = False
    wear: Wear


@dataclass
class Schema(Result):
    command: ClassVar[str] = "schema"
    port: ClassVar[bool | None] = False
    schema: str
    schema_crc: Crc
    max_size: Count | None


@dataclass
class Compiled(Result):
    command: ClassVar[str] = "schema"
    port: ClassVar[bool | None] = False
    schema: str
    module: str
    bytes: Count


@dataclass
class RustType(Result):
    command: ClassVar[str] = "schema"
    port: ClassVar[bool | None] = False
    schema: str
    rust: str


FOUND = (VerifiedFile, Verified, Compared, Differences)  # the details of an error, where it is one
