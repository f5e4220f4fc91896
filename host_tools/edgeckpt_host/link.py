"""The link to the agent of a board: requests, replies, recovery; and the REPL that starts it.

Promises: every wait is bounded; what was lost or changed on the line is asked for again, at most
`retries` times; nothing is taken for data unless its CRC-32s hold.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from edgeckpt import wire

from .errors import HostError
from .frames import Frame, Parser, build
from .stream import Stream

_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_WINDOW = 8192  # bytes of blocks that one READ asks for; two are under way at any time


def _harmless(kind: int) -> bytes:
    # A frame with no byte, behind its kind, that a REPL takes for a command or for text.
    frames = (build(kind, tag) for tag in range(128, 256))
    return next(f for f in frames if all(byte == 0 or byte > 127 for byte in f[2:]))


_BYE = _harmless(wire.BYE)
_ECHO = _harmless(wire.ECHO)
_START = "from edgeckpt import agent;agent.serve(%s)"


class AgentError(Exception):
    """An ERROR frame: code (wire.E_..), a, sentence."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.payload.decode("utf-8", "replace"))
        self.code = frame.b
        self.a = frame.a

    def as_host_error(self, where: str) -> HostError:
        cause = {
            wire.E_LEASE: "lease",
            wire.E_READ_ONLY: "refused",
            wire.E_AUTH: "refused",
            wire.E_VERSION: "refused",
            wire.E_MEDIUM: "medium",
            wire.E_DATA: "link",
            wire.E_TRANSFER: "link",
            wire.E_ARGUMENT: "geometry",
        }.get(self.code, "medium")
        return HostError(cause, f"{where}: {self}", block=self.a)


class Link:
    """An agent at the other end of `stream`.

    timeout: seconds without a byte after which a reply counts as lost.
    gap: seconds of silence that end a frame for the agent (its `gap_ms`, and margin).
    `received`, `sent`: bytes on the line so far. `interrupted`: a program was running on the
    board when the REPL was taken (it is started again by `leave(restart=True)`). `repl`: the REPL
    was taken and has to be given back; `serving`: the agent in it has answered.
    """

    def __init__(
        self, stream: Stream, timeout: float = 2.0, retries: int = 4, gap: float = 0.13
    ) -> None:
        self.stream = stream
        self.gap = gap
        self.timeout = timeout
        self.retries = retries
        self.received = 0
        self.sent = 0
        self.repeats = 0
        self.interrupted = False
        self.repl = False
        self.serving = False
        self._parser = Parser()
        self._frames: deque[Frame] = deque()
        self._tag = 0
        self._asked_again = False
        self._left = b""
        self._last = b""

    # Bytes

    def _read(self, timeout: float) -> bytes:
        data = self.stream.read(timeout)
        self.received += len(data)
        self._last = (self._last + data)[-2:]
        return data

    def _write(self, data: bytes) -> None:
        self.sent += len(data)
        self.stream.write(data)

    def _until(self, text: bytes, seconds: float) -> bytes:
        """Read until `text` has come or time is up; all that was read."""
        got = bytearray()
        end = time.monotonic() + seconds
        while text not in got:
            left = end - time.monotonic()
            if left <= 0:
                break
            got += self._read(min(left, 0.1))
        return bytes(got)

    def _drain(self, seconds: float) -> bytes:
        """Read until nothing has come for `seconds`, or for two seconds in all."""
        got = bytearray()
        end = time.monotonic() + max(2.0, 2 * seconds)
        while time.monotonic() < end:
            data = self._read(seconds)
            if not data:
                break
            got += data
        return bytes(got)

    # The REPL

    def take_repl(self) -> None:
        """Get to the raw REPL, through a running program or an agent that was left behind."""
        name = self.stream.name
        seen = b""
        for attempt in range(min(self.retries, 3) + 1):
            if attempt:
                # An agent in the middle of a frame, or waiting for one.
                self._drain(self.gap)
                self._write(_BYE)
                self._drain(self.gap)
            self._write(b"\r\x03")
            seen = self._until(b">>> ", 0.1 + 0.2 * attempt)
            self.interrupted = self.interrupted or b"KeyboardInterrupt" in seen
            self._write(b"\r\x01")
            seen += self._until(_BANNER, 0.15 + 0.3 * attempt)
            if _BANNER in seen:
                self.repl = True
                self._drain(0.01)
                return
        hint = (
            "something answers, but no MicroPython REPL; is it another device, or another --baud?"
            if seen
            else "is it the right port, and is the board running MicroPython?"
        )
        raise HostError("no-answer", f"{name}: no REPL answers", hint)

    def run(self, code: str, seconds: float = 10.0) -> tuple[bytes, bytes]:
        """Execute `code` in the raw REPL. (output, traceback), both as bytes."""
        self._submit(code)
        got = self._left
        if b"\x04" not in got:
            got += self._until(b"\x04", seconds)
        out, mark, rest = got.partition(b"\x04")
        if mark and b"\x04" not in rest:
            rest += self._until(b"\x04", seconds)
        if not mark or b"\x04" not in rest:
            raise HostError("no-answer", f"{self.stream.name}: no end of a program in {seconds} s")
        err, _, rest = rest.partition(b"\x04")
        if b">" not in rest:
            self._until(b">", 1.0)
        return out, err

    def _submit(self, code: str) -> None:
        data = code.encode()
        # In pieces that the smallest receive ring takes, at the pace of a slow board.
        for i in range(0, len(data), 120):
            self._write(data[i : i + 120])
            if i:
                time.sleep(0.01)
        self._write(b"\x04")
        got = self._until(b"OK", self.timeout)
        if b"OK" not in got:
            raise HostError("no-answer", f"{self.stream.name}: the raw REPL does not answer")
        self._left = got.partition(b"OK")[2]

    def start_agent(self, arguments: str = "") -> None:
        """Start the agent through the REPL. HostError `no-module`, `no-answer`."""
        name = self.stream.name
        attempts = min(self.retries, 2) + 1
        for attempt in range(attempts):
            self.take_repl()
            try:
                self._submit(_START % arguments)
            except HostError as e:
                if e.cause != "no-answer" or attempt == attempts - 1:
                    raise
                continue
            self._parser.reset()
            text = bytearray(self._left)
            self._frames.extend(self._parser.feed(self._left))
            end = time.monotonic() + max(self.timeout, 0.2)
            while not self._frames and text.count(b"\x04") < 2 and time.monotonic() < end:
                data = self._read(0.1)
                text += data
                self._frames.extend(self._parser.feed(data))
            if self._frames:
                self._frames.clear()
                self.serving = True
                return
            said = (text.split(b"\x04") + [b""])[1].decode("utf-8", "replace").strip()
            last = said.splitlines()[-1] if said else ""
            if "ImportError" in last or "no module" in last:
                raise HostError(
                    "no-module",
                    f"{name}: the board has no module edgeckpt ({last})",
                    f"edgeckpt install --port {name}",
                )
            if b"\x04" in text and last:
                raise HostError("no-answer", f"{name}: the agent does not start: {last}")
        raise HostError("no-answer", f"{name}: the agent does not answer")

    def leave(self, restart: bool = False) -> None:
        """End the agent, give the REPL back; with `restart`, run the board's program again."""
        if not self.repl:
            return
        if not self.serving or not self._bye():
            self.take_repl()
        self.repl = self.serving = False
        self._write(b"\r\x02")
        self._until(b">>> ", 1.0)
        if restart:
            self._write(b"\x04")
            self._until(b"reboot", 1.0)

    def _bye(self) -> bool:
        # Whether the agent has left, and the raw REPL is there.
        try:
            self.request(wire.BYE, expect=wire.OK, timeout=min(self.timeout, 0.5), retries=1)
        except (HostError, AgentError):
            return False
        if self._last != b"\x04>":  # the raw REPL's prompt may have come with the answer
            self._until(b"\x04>", 0.5)
        return True

    # Frames

    def answers(self, seconds: float) -> bool:
        """Whether an agent is there that answers within `seconds`, whatever else comes on the
        line. A REPL, or a program that reads the line, is not interrupted by the question."""
        self._tag = _ECHO[2]  # a late answer is none to a request that follows
        for _ in range(2):
            self._write(_ECHO)
            end = time.monotonic() + seconds / 2
            while (left := end - time.monotonic()) > 0:
                for frame in self._parser.feed(self._read(min(left, 0.1))):
                    if (frame.kind, frame.tag) == (wire.DATA, self._tag):
                        return True
        return False

    def ping(self) -> None:
        """A round trip; an agent that was started leaves after three seconds without any."""
        self.request(wire.ECHO, expect=wire.DATA)

    def _next_tag(self) -> int:
        self._tag = self._tag % 255 + 1
        return self._tag

    def next_frame(self, timeout: float) -> Frame | None:
        """The next sound frame; None when no byte has come for `timeout` seconds."""
        end = time.monotonic() + timeout
        limit = end + 4 * timeout  # garbage without end is silence too
        while not self._frames:
            now = time.monotonic()
            if now >= min(end, limit):
                return None
            data = self._read(min(end - now, 0.25))
            if data:
                end = time.monotonic() + timeout
                self._frames.extend(self._parser.feed(data))
        return self._frames.popleft()

    def recover(self) -> None:
        """Get agent and parser back to the beginning of a frame."""
        self.repeats += 1
        self._drain(self.gap)  # silence ends a frame that lost bytes
        self._parser.reset()
        self._frames.clear()

    def request(
        self,
        kind: int,
        aux: int = 0,
        a: int = 0,
        b: int = 0,
        payload: bytes = b"",
        *,
        expect: int,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> list[Frame]:
        """Send a request, repeated if need be, and return its replies, the last one of kind
        `expect` (TEXT: with b set). AgentError where the agent refuses; HostError `link`.
        """
        timeout = self.timeout if timeout is None else max(timeout, self.timeout)
        retries = self.retries if retries is None else retries
        for attempt in range(retries + 1):
            if attempt and not self._asked_again:
                self.recover()
            tag = self._next_tag()
            self._write(build(kind, tag, aux, a, b, payload))
            replies = self._replies(tag, expect, timeout)
            if replies is not None:
                return replies
        raise HostError(
            "link",
            f"{self.stream.name}: no sound answer to a request in {retries + 1} attempts",
            "a better cable, a lower --baud, or a longer --timeout",
        )

    def _replies(self, tag: int, expect: int, timeout: float) -> list[Frame] | None:
        replies: list[Frame] = []
        self._asked_again = False
        while True:
            frame = self.next_frame(timeout)
            if frame is None:
                return None
            if frame.tag != tag:
                continue
            if frame.kind == wire.ERROR:
                if frame.b == wire.E_FRAME:
                    self._asked_again = True  # the agent is at the beginning of a frame
                    self.repeats += 1
                    return None
                raise AgentError(frame)
            replies.append(frame)
            if frame.kind == expect and (expect != wire.TEXT or frame.b):
                return replies

    def text(self, kind: int, aux: int = 0, a: int = 0, b: int = 0, payload: bytes = b"") -> str:
        """A request that is answered with a text."""
        for _ in range(self.retries + 1):
            replies = self.request(
                kind, aux, a, b, payload, expect=wire.TEXT, timeout=2.5 * self.timeout
            )
            text = bytearray()
            for frame in replies:
                if frame.kind != wire.TEXT or frame.a != len(text):
                    break
                text += frame.payload
            else:
                return text.decode()
        raise HostError("link", f"{self.stream.name}: a text does not come whole")

    def digests(self, lease: int, first: int, count: int, group: int) -> list[int]:
        """CRC-32 of each group of `group` blocks of the range."""
        payload = b"".join(n.to_bytes(4, "little") for n in (first, count, group))
        for _ in range(self.retries + 1):
            replies = self.request(
                wire.DIGEST, lease, payload=payload, expect=wire.OK, timeout=5 * self.timeout
            )
            data = b""
            for frame in replies[:-1]:
                if frame.kind == wire.DIGESTS and frame.a * 4 == len(data):
                    data += frame.payload
            if len(data) == 4 * -(-count // group):
                return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        raise HostError("link", f"{self.stream.name}: digests do not come whole")

    def read(
        self,
        lease: int,
        block_size: int,
        ranges: Iterable[tuple[int, int]],
        sink: Callable[[int, bytes], None],
        stride: int = 1,
    ) -> None:
        """Read ranges (first, count) of layout blocks; `sink(block, data)` for each, once.

        Two requests are under way at any time, so that the line never waits. HostError `link`
        when the line gives nothing more; what was read by then has been given to `sink`.
        """
        window = max(1, _WINDOW // block_size)
        todo: deque[tuple[int, int]] = deque()
        for first, count in ranges:
            for at in range(0, count, window):
                todo.append((first + at * stride, min(window, count - at)))
        under_way: deque[_Window] = deque()
        failures = 0
        while todo or under_way:
            while todo and len(under_way) < 2:
                first, count = todo.popleft()
                w = _Window(self._next_tag(), first, count, stride)
                payload = b"".join(n.to_bytes(4, "little") for n in (first, count, stride))
                self._write(build(wire.READ, w.tag, lease, payload=payload))
                under_way.append(w)
            frame = self.next_frame(self.timeout)
            refused = frame is not None and frame.kind == wire.ERROR and frame.b == wire.E_FRAME
            if frame is None or refused:
                failures += 1
                if failures > self.retries:
                    raise HostError(
                        "link",
                        f"{self.stream.name}: no data in {failures} attempts",
                        "repeat the command: it goes on where it stopped",
                    )
                self.recover()
                while under_way:
                    todo.extendleft(reversed(under_way.popleft().missing()))
                continue
            if all(w.tag != frame.tag for w in under_way):
                continue
            while under_way[0].tag != frame.tag:
                # An answer to the second request: the end of the first was lost.
                todo.extend(under_way.popleft().missing())
            w = under_way[0]
            if frame.kind == wire.ERROR:
                raise AgentError(frame)
            if frame.kind == wire.OK:
                missing = under_way.popleft().missing()
                if missing:
                    self.repeats += 1
                    todo.extend(missing)
                continue
            if w.take(frame, block_size, sink):
                failures = 0


def leave(link: Link, restart: bool | None) -> None:
    """`link.leave()`, and close the line. restart None: if a program ran."""
    try:
        link.leave(link.interrupted if restart is None else restart)
    finally:
        link.stream.close()


class _Window:
    # One READ under way.
    def __init__(self, tag: int, first: int, count: int, stride: int) -> None:
        self.tag = tag
        self.first = first
        self.count = count
        self.stride = stride
        self.wanted = {first + i * stride for i in range(count)}
        self.last = -1
        self.last_data = b""

    def take(self, frame: Frame, size: int, sink: Callable[[int, bytes], None]) -> bool:
        n = frame.aux if frame.kind == wire.DATA else frame.b
        if frame.kind == wire.DATA:
            if len(frame.payload) != n * size:
                return False
        elif frame.kind == wire.SAME:
            if frame.a - 1 != self.last:
                return False  # the block it repeats was lost
        elif frame.kind != wire.BLANK:
            return False
        if n > self.count:
            return False
        fresh = False
        for i in range(n):
            block = frame.a + i * self.stride
            if frame.kind == wire.DATA:
                self.last_data = frame.payload[i * size : i * size + size]
            elif frame.kind == wire.BLANK:
                self.last_data = b"\xff" * size
            if block in self.wanted:
                self.wanted.discard(block)
                sink(block, self.last_data)
                fresh = True
            self.last = block
        return fresh

    def missing(self) -> list[tuple[int, int]]:
        """What has not come, as ranges."""
        ranges: list[tuple[int, int]] = []
        for block in sorted(self.wanted):
            if ranges and block == ranges[-1][0] + ranges[-1][1] * self.stride:
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
            else:
                ranges.append((block, 1))
        return ranges
