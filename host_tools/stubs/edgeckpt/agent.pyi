"""Types of the board's agent (docs/protocol.md)."""

from typing import Any

from . import BlockLease

class Agent:
    restored: int
    frames: int
    def __init__(
        self,
        stream: Any,
        out: Any = None,
        *,
        frame: int = 1024,
        ring: int = 256,
        read_only: bool = False,
        key: bytes | None = None,
        leases: list[BlockLease] | None = None,
        gap_ms: int = 100,
    ) -> None: ...
    def poll(self, ms: int = 0) -> bool: ...
    def serve(self, idle_ms: int = 6000) -> bool: ...

def serve(frame: int = 0, idle_ms: int = 6000, back: bool = False, **options: Any) -> None: ...
