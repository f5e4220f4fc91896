"""Frames of the serial protocol on the host: built and parsed by `edgeckpt.wire`.

Promises: the parser takes any bytes in any pieces, keeps at most one frame of them, raises
nothing, and gives only frames whose CRC-32s hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from zlib import crc32

from edgeckpt import wire

_TEXT = 2048  # bytes that belong to no frame, of which the last are kept
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
    """Bytes in, frames out. `text`: what has come since the last sound frame and belongs to none,
    the end of it: a prompt, a banner, a traceback. Whoever reads it clears it."""

    def __init__(self) -> None:
        self._buf = bytearray()
        self.text = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return bool(self._buf)

    def feed(self, data: bytes) -> list[Frame]:
        """Take `data`; the frames that are complete now."""
        self._buf += data
        frames = []
        at = 0
        buf = self._buf
        while True:
            start = buf.find(wire.MAGIC, at)
            if start < 0:
                self._drop(at, len(buf))
                at = len(buf)
                break
            self._drop(at, start)
            at = start
            if len(buf) - at < wire.HEAD:
                break
            head = bytes(buf[at : at + wire.HEAD])
            length = wire.get2(head, 10)
            with _ONE_AT_A_TIME:
                sound = wire.sound(head)
            if not sound or length > wire.MAX_PAYLOAD:
                self._drop(at, at + 1)
                at += 1
                continue
            end = at + wire.HEAD + (length + 4 if length else 0)
            if len(buf) < end:
                break
            payload = bytes(buf[at + wire.HEAD : at + wire.HEAD + length])
            if length and buf[end - 4 : end] != _payload_crc(head, payload):
                # The lost bytes may have let this frame run into the next: look inside it.
                self._drop(at, at + 1)
                at += 1
                continue
            frames.append(
                Frame(head[1], head[2], head[3], wire.get4(head, 4), wire.get2(head, 8), payload)
            )
            self.text.clear()
            at = end
        del buf[:at]
        return frames

    def _drop(self, start: int, end: int) -> None:
        if end > start:
            self.text += self._buf[start:end]
            del self.text[:-_TEXT]

    def flush(self) -> list[Frame]:
        """Give up the frame that is not complete; those that lie inside of it."""
        frames: list[Frame] = []
        while self._buf:
            self._drop(0, 1)
            del self._buf[0]
            frames += self.feed(b"")
        return frames

    def reset(self) -> None:
        """Forget all that has been kept."""
        self._buf.clear()
        self.text.clear()
