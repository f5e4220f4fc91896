"""The link to the agent of a board: requests, replies, recovery; and the REPL that starts it.

One rule for both sides: the host asks again sooner than the agent leaves, and a frame goes only to
something that has proved, since the last silence, that it is the agent. The proof is the answer to
an ECHO whose bytes no REPL takes for a command. As the agent answers in order, it is also the
proof that what was sent before is done with: an answer that did not come is lost.

Promises: every wait is bounded; one fault on the line costs one repeat; an agent that has left is
started again within the same command; nothing is taken for data unless its CRC-32s hold; text that
somebody has half typed is never executed.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from edgeckpt import wire

from .errors import HostError
from .frames import Frame, Parser, build
from .stream import Stream, reset

_PROMPT = b">>> "
_FRIENDLY = b"for more information."  # the end of the banner behind Ctrl-B
_RAW = b"raw REPL; CTRL-B to exit\r\n>"
_REBOOT = b"soft reboot"
_START = b"__import__('edgeckpt.agent').agent.serve(%s)"  # binds no name of the board's program
_WINDOW = 8192  # bytes of blocks that one READ asks for; two are under way at any time
_SILENCE = 0.15  # seconds without a byte after which the agent is asked for a sign
_NOISY = 4  # repeats in a session, after which more are expected
_BROKEN = 0.1  # the same where bytes came that are no frame
_FRAME = 1.0  # seconds with bytes but without a frame
_FRESH = 2.0  # seconds for which a frame proves the agent; it stays for three times that
_SHORT = 0.3  # seconds for a sign, where a prompt says that the agent has left
_TAKES = 4  # repeats of Ctrl-C, each with more patience: 8 seconds in all
_BOOT = 5.0  # seconds that a reset board takes to its program
_IMPORT = 10.0  # seconds that a slow board takes to import the agent from .py files


def _harmless(kind: int, tag: int) -> bytes:
    # A frame with no byte, behind its kind, that a REPL takes for a command or for text.
    fields = (0, *range(128, 256))
    frames = (build(kind, tag, b=low | high << 8) for high in fields for low in fields)
    return next(f for f in frames if all(byte == 0 or byte > 127 for byte in f[2:]))


class AgentError(HostError):
    """An ERROR frame: code (wire.E_..), a, sentence."""

    def __init__(self, frame: Frame) -> None:
        self.code = frame.b
        self.a = frame.a
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
        super().__init__(cause, frame.payload.decode("utf-8", "replace"), block=self.a)

    def as_host_error(self, where: str) -> HostError:
        """The same, with the place where it happened."""
        return HostError(self.cause, f"{where}: {self}", block=self.a)


class Link:
    """An agent at the other end of `stream`.

    timeout: seconds without a sign of the agent after which a request counts as lost.
    arguments: of the agent's `serve()`, where it is started through the REPL.
    `received`, `sent`: bytes on the line so far; `repeats`: requests that were sent again.
    `interrupted`: a program was running on the board when the REPL was taken (it is started again
    by `leave(restart=True)`). `repl`: the REPL was taken and has to be given back; `serving`: the
    agent in it has answered. `hello`: what the agent said of itself.
    """

    def __init__(
        self, stream: Stream, timeout: float = 2.0, retries: int = 4, arguments: str = ""
    ) -> None:
        self.stream = stream
        self.timeout = timeout
        self.retries = retries
        self.received = 0
        self.sent = 0
        self.repeats = 0
        self.interrupted = False
        self.repl = False
        self.serving = False
        self.hello: dict[str, Any] = {}
        self._arguments = arguments
        self._parser = Parser()
        self._frames: deque[Frame] = deque()
        self._tag = 0
        self._sign = 0
        self._signs: set[int] = set()  # tags of the ECHOs sent since the last request
        self._heard = -_FRESH  # when the last sound frame came
        self._typed = False  # a start was typed: what a Ctrl-C interrupts now is no program
        self._starting = False
        self._raw = False
        self._byte = getattr(stream, "seconds_a_byte", 0.0)
        self._carried = 0.0  # when the line has carried all that was sent
        self._said = b""  # what came while no agent was there

    # Bytes

    def _read(self, timeout: float) -> bytes:
        data = self.stream.read(timeout)
        self.received += len(data)
        if not self.serving:
            self._said = (self._said + data)[-4096:]
        return data

    def _write(self, data: bytes) -> None:
        self.sent += len(data)
        self._carried = max(time.monotonic(), self._carried) + len(data) * self._byte
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

    # The REPL

    def take_repl(self) -> bool:
        """Get to the friendly REPL, through a running program or text that is half typed. False:
        an agent has answered instead. HostError `no-answer`."""
        self.serving = False
        self._said = b""
        for attempt in range(min(self.retries, _TAKES) + 1):
            self._parser.reset()
            self._frames.clear()
            self._write(b"\x03")
            seen = self._until(_PROMPT, 0.1 + 0.2 * attempt)
            if _PROMPT not in seen:  # a raw REPL, or its prompt was lost
                self._write(b"\x02")
                seen += self._until(_FRIENDLY, 0.15 + 0.3 * attempt)
            if _PROMPT in seen or _FRIENDLY in seen:
                self._note_program()
                self._typed = self._raw = False
                self.repl = True
                return True
            if self._prove(_SHORT):
                return False
        raise self._no_repl()

    def _note_program(self) -> None:
        # Whether a program was stopped: what a raw REPL ran is none of the board's, and neither
        # is a start of ours. One half of the word, and one 0x04, may be a fault of the line.
        said = self._said
        stopped = b"Keyboard" in said or b"Interrupt" in said
        if stopped and said.count(b"\x04") < 2 and not self._typed:
            self.interrupted = True

    def reset_board(self) -> None:
        """Reset the board by DTR and RTS, and stop its program before it takes Ctrl-C for itself.
        HostError `port`."""
        reset(self.stream)
        end = time.monotonic() + _BOOT
        while time.monotonic() < end:
            self._write(b"\x03")
            seen = self._until(_PROMPT, 0.02)
            self.interrupted = self.interrupted or b"KeyboardInterrupt" in seen
            if _PROMPT in seen:
                return

    def _no_repl(self) -> HostError:
        name = self.stream.name
        if not self._said:
            return HostError(
                "no-answer",
                f"{name}: no REPL answers, nothing at all comes",
                "is it the right port, and is the board running MicroPython?",
            )
        said = self._said.decode("utf-8", "replace")[-60:]
        return HostError(
            "no-answer",
            f"{name}: no REPL answers, but something does: {said!r}",
            "a program that takes Ctrl-C for itself? --attach direct if it polls an Agent, "
            "--reset if the adapter has DTR and RTS; or is it another --baud?",
        )

    def run(self, code: str, seconds: float = 10.0) -> tuple[bytes, bytes]:
        """Execute `code` in the raw REPL. (output, traceback), both as bytes."""
        if not self._raw:
            self._write(b"\x01")
            if _RAW not in self._until(_RAW, self.timeout):
                raise HostError("no-answer", f"{self.stream.name}: no raw REPL answers")
            self._raw = True
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
        got = got.partition(b"OK")[2]
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

    def start_agent(self) -> None:
        """Get an agent to answer: start one through the REPL, or take the one that is there.
        HostError `no-module`, `no-answer`, `link`."""
        self._starting = True
        try:
            for attempt in range(min(self.retries, 3) + 1):
                there = not self.take_repl()
                if there or self._start(exact=attempt < 2):
                    break
            else:
                raise HostError("no-answer", f"{self.stream.name}: the agent does not answer")
            before = self.hello.get("session")
            self.ask_hello()
        finally:
            self._starting = False
        session = self.hello["session"]
        if session:
            self.repl = self.serving = True
            self.interrupted = self.interrupted or self.hello["back"]
            self._typed = False
        if before is not None and session != before + (not there):
            raise HostError(
                "link",
                f"{self.stream.name}: the board was reset meanwhile",
                "repeat the command: it goes on where it stopped",
            )

    def ask_hello(self) -> None:
        """Ask the agent for what it says of itself."""
        self.hello = json.loads(self.text(wire.HELLO, a=wire.PROTOCOL))

    def _start(self, exact: bool) -> bool:
        # Type the start at the prompt, execute it once its echo is right (exact: and nothing but
        # it, though a thread of the program may print meanwhile), await the agent's OK.
        arguments = [f"back={self.interrupted:d}"] + [self._arguments] * bool(self._arguments)
        line = _START % ",".join(arguments).encode()
        self._write(line)
        before, echo, behind = self._until(line, _SILENCE + 2 * len(line) * self._byte).partition(
            line
        )
        if not echo or exact and (behind or before and not before.endswith(_PROMPT)):
            return False  # the next Ctrl-C takes it back
        self._note_program()  # all that was said before has come now
        self._parser.reset()
        self._write(b"\r")
        self._typed = True
        start = asked = time.monotonic()
        while (now := time.monotonic()) < start + max(self.timeout, _IMPORT):
            if self._next(_SILENCE) is not None:
                self.serving = True
                return True
            text = self._parser.text
            if _PROMPT in text:
                self._failed(bytes(text))
                return False
            if b"\n" not in text:
                return False  # the line was not taken
            if now - asked >= (_FRAME if asked > start else _SILENCE):
                asked = now
                self._ask_sign()  # its OK may be lost; at an import this waits in the ring
        return False

    def _failed(self, text: bytes) -> None:
        # What the board said instead of an OK: told where it is a sound traceback.
        said = text.decode("utf-8", "replace").rpartition(">>> ")[0].strip()
        last = said.splitlines()[-1] if said else ""
        name = self.stream.name
        self._typed = False
        if last.startswith("ImportError: no module named"):
            raise HostError(
                "no-module",
                f"{name}: the board has no module edgeckpt ({last})",
                f"edgeckpt install --port {name}",
            )
        kind = last.partition(":")[0]
        if kind.endswith("Error") and kind not in ("SyntaxError", "NameError"):  # of our line
            raise HostError("no-answer", f"{name}: the agent does not start: {last}")

    def leave(self, restart: bool = False) -> None:
        """End the agent, give the REPL back; with `restart`, run the board's program again."""
        if not self.repl:
            return
        if not self.serving or not self._bye(restart):
            if not self.take_repl():
                self._bye(restart)
            elif restart:
                self._write(b"\x04")
                self._until(_REBOOT, 1.0)
        self.repl = self.serving = False

    def _bye(self, restart: bool) -> bool:
        # Whether the agent has left, by its OK or by what the board says behind it.
        end = _REBOOT if restart else _PROMPT
        for _ in range(self.retries + 1):
            if not self._proved() and not self._prove(min(self.timeout, 1.0)):
                return False
            tag = self._send(wire.BYE, int(restart))
            while (frame := self._next(_SILENCE + self._ahead())) is not None and frame.tag != tag:
                pass  # of what was under way
            text = bytes(self._parser.text)
            if frame is not None or end in text:
                if end not in text:
                    self._until(end, _SHORT)
                return True
            self._heard = -_FRESH
        return False

    # Signs of the agent

    def _proved(self) -> bool:
        return time.monotonic() - self._heard < _FRESH

    def _ask_sign(self) -> None:
        # Tags above 127 are kept for these, so that a late answer is none to a request.
        self._sign = 128 + (self._sign + 1) % 128
        self._signs.add(self._sign)
        self._write(_harmless(wire.ECHO, self._sign))

    def _prove(self, seconds: float) -> bool:
        """Whether an agent is there that answers within `seconds`, whatever else comes on the
        line. A REPL, or a program that reads the line, is not interrupted by the question."""
        start = asked = time.monotonic()
        self._ask_sign()
        while (now := time.monotonic()) < start + seconds:
            frame = self._next(min(_SILENCE, start + seconds - now))
            if frame is not None and frame.tag in self._signs:
                return True
            if now - asked > seconds / 2 > _SHORT:
                asked = now
                self._ask_sign()
        self._heard = -_FRESH
        return False

    def answers(self, seconds: float) -> bool:
        """Whether an agent is there, without a byte that would interrupt a program."""
        return self._prove(seconds)

    def ping(self) -> None:
        """A round trip."""
        self.request(wire.ECHO, expect=wire.DATA)

    # Frames

    def _patience(self) -> float:
        # A line that has lost much is asked sooner: the question ends a frame that waits for
        # bytes that were lost.
        return _SILENCE if self.repeats < _NOISY else _SILENCE / 3

    def _ahead(self) -> float:
        # Seconds until the line has carried what was sent.
        return max(0.0, self._carried - time.monotonic())

    def _send(self, kind: int, aux: int = 0, a: int = 0, b: int = 0, payload: bytes = b"") -> int:
        self._tag = self._tag % 127 + 1
        self._signs.clear()  # those from before say nothing of this request
        self._write(build(kind, self._tag, aux, a, b, payload))
        return self._tag

    def _next(self, patience: float) -> Frame | None:
        """The next sound frame. None where no byte comes for `patience` seconds, no frame for
        longer, or a prompt."""
        now = time.monotonic()
        end = now + patience
        limit = max(end, now + _FRAME)
        parser = self._parser
        while not self._frames:
            now = time.monotonic()
            if now >= end:
                self._frames.extend(parser.flush())  # what is incomplete stays so
                if not self._frames:
                    return None
            elif now >= limit:
                return None
            else:
                data = self._read(min(end, limit) - now)
                if data:
                    self._frames.extend(parser.feed(data))
                    broken = parser.pending or parser.text
                    end = time.monotonic() + (min(patience, _BROKEN) if broken else patience)
                    if not self._frames and self.repl and _PROMPT in parser.text:
                        return None
        self._heard = time.monotonic()
        return self._frames.popleft()

    def _reply(self, tags: Iterable[int], timeout: float) -> Frame | None:
        """The next frame of the answers to requests with these tags. None: they are lost, or the
        agent gives no sign any more (then it is not `_proved()`)."""
        now = time.monotonic()
        end = max(now, self._carried) + timeout
        ask = 0.0
        pause = _FRAME
        while True:
            frame = self._next(self._patience() + self._ahead())
            now = time.monotonic()
            if frame is None:
                if self.repl and _PROMPT in self._parser.text:
                    self._parser.text.clear()
                    end = min(end, now + _SHORT)
                    ask = 0.0
                if now >= end:
                    self._heard = -_FRESH
                    return None
                if now >= ask:
                    # A busy board answers when it is done: each question waits for longer.
                    self._ask_sign()
                    ask = now + pause
                    pause *= 2
            elif frame.tag in tags:
                return frame
            elif frame.tag in self._signs:
                return None
            else:
                end = max(end, now + self.timeout)  # an older answer: it is at work

    def _ready(self) -> bool:
        # Frames may be sent: the agent has proved that it is there, or was started again.
        if self._proved():
            return True
        if not self.repl or self._starting or not self.serving:
            return self._prove(self.timeout)
        try:
            self.start_agent()
        except HostError as e:
            if e.cause != "no-answer":
                raise
            raise HostError("link", f"the agent has gone; {e}", e.hint) from e
        return True

    def request(
        self,
        kind: int,
        aux: int = 0,
        a: int = 0,
        b: int = 0,
        payload: bytes | Callable[[int], bytes] = b"",
        *,
        expect: int,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> list[Frame]:
        """Send a request, repeated if need be, and return its replies, the last one of kind
        `expect` (TEXT: with b set). payload: or what gives it for the n-th attempt. AgentError
        where the agent refuses; HostError `link`.
        """
        timeout = self.timeout if timeout is None else max(timeout, self.timeout)
        retries = self.retries if retries is None else retries
        attempt = silent = 0
        while attempt <= 3 * retries and silent <= retries:
            self.repeats += attempt > 0
            if self._ready():
                data = payload(attempt) if callable(payload) else payload
                replies = self._replies(self._send(kind, aux, a, b, data), expect, timeout)
                if replies is not None:
                    return replies
            attempt += 1
            silent = 0 if self._proved() else silent + 1
        raise HostError(
            "link",
            f"{self.stream.name}: no sound answer to a request in {attempt} attempts",
            "a better cable, a lower --baud, or a longer --timeout",
        )

    def _replies(self, tag: int, expect: int, timeout: float) -> list[Frame] | None:
        replies: list[Frame] = []
        while (frame := self._reply((tag,), timeout)) is not None:
            if frame.kind == wire.ERROR:
                if frame.b == wire.E_FRAME:
                    return None  # the agent is at the beginning of a frame: again, at once
                raise AgentError(frame)
            replies.append(frame)
            if frame.kind == expect and (expect != wire.TEXT or frame.b):
                return replies
        return None

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
        silent = lost = hurt = 0
        while todo or under_way:
            ready = bool(under_way) or self._ready()
            while ready and todo and len(under_way) < 2:
                first, count = todo.popleft()
                payload = b"".join(n.to_bytes(4, "little") for n in (first, count, stride))
                # Of long frames a line with noise carries few whole.
                tag = self._send(wire.READ, lease, block_size if hurt > 1 else 0, 0, payload)
                under_way.append(_Window(tag, first, count, stride))
            frame = self._reply([w.tag for w in under_way], self.timeout) if ready else None
            if frame is None:
                self.repeats += 1
                silent = silent + 1 if not self._proved() else 0
                lost += 1
                if silent > self.retries or lost > 3 * self.retries:
                    raise HostError(
                        "link",
                        f"{self.stream.name}: no data in {lost} attempts",
                        "repeat the command: it goes on where it stopped",
                    )
                while under_way:
                    todo.extendleft(reversed(under_way.popleft().missing()))
                continue
            while under_way[0].tag != frame.tag:
                # An answer to the second request: the end of the first was lost.
                hurt += 1
                todo.extend(under_way.popleft().missing())
            w = under_way[0]
            if frame.kind == wire.ERROR and frame.b != wire.E_FRAME:
                raise AgentError(frame)
            if frame.kind in (wire.OK, wire.ERROR):
                missing = under_way.popleft().missing()
                if missing:
                    hurt += 1
                    self.repeats += 1
                    todo.extend(missing)
            elif w.take(frame, block_size, sink):
                silent = lost = 0


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
