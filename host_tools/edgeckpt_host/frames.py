"""Frames of the serial protocol on the host: built and parsed by `edgeckpt.wire`.

Promises: the parser takes any bytes in any pieces, keeps at most one frame of them, raises
nothing, and gives only frames whose CRC-32s hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from zlib import crc32

from edgeckpt import wire

_ONE_AT_A_TIME = Lock()  # `wire` has one place for the CRC-32 of all heads


@dataclass
class Frame:
    """One sound frame; fields as in `edgeckpt.wire`."""

    kind: int
    tag: int
    aux: int
    a: int
    b: int
    payload: bytes


def build(
    kind: int, tag: int, aux: int = 0, a: int = 0, b: int = 0, payload: bytes = b""
) -> bytes:
    """The bytes of a frame."""
    head = bytearray(wire.HEAD)
    head[1:4] = bytes((kind, tag, aux))
    with _ONE_AT_A_TIME:
        wire.stamp(head, a, b, len(payload))
    if not payload:
        return bytes(head)
    return bytes(head) + payload + _payload_crc(head, payload)


def _payload_crc(head: bytes | bytearray, payload: bytes) -> bytes:
    # It goes on from that of the head (edgeckpt.wire.begin).
    return crc32(payload, int.from_bytes(head[12:16], "little")).to_bytes(4, "little")


class Parser:
    """Bytes in, frames out. `dropped` counts bytes that belonged to no sound frame."""

    def __init__(self) -> None:
        self._buf = bytearray()
        self.dropped = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take `data`; the frames that are complete now."""
        self._buf += data
        frames = []
        at = 0
        buf = self._buf
        while True:
            start = buf.find(wire.MAGIC, at)
            if start < 0:
                self.dropped += len(buf) - at
                at = len(buf)
                break
            self.dropped += start - at
            at = start
            if len(buf) - at < wire.HEAD:
                break
            head = bytes(buf[at : at + wire.HEAD])
            length = wire.get2(head, 10)
            with _ONE_AT_A_TIME:
                sound = wire.sound(head)
            if not sound or length > wire.MAX_PAYLOAD:
                at += 1
                self.dropped += 1
                continue
            end = at + wire.HEAD + (length + 4 if length else 0)
            if len(buf) < end:
                break
            payload = bytes(buf[at + wire.HEAD : at + wire.HEAD + length])
            if length and buf[end - 4 : end] != _payload_crc(head, payload):
                # The lost bytes may have let this frame run into the next: look inside it.
                at += 1
                self.dropped += 1
                continue
            frames.append(
                Frame(head[1], head[2], head[3], wire.get4(head, 4), wire.get2(head, 8), payload)
            )
            at = end
        del buf[:at]
        return frames

    def reset(self) -> None:
        """Forget what has been kept of an incomplete frame."""
        self._buf.clear()
