"""Frames of the serial protocol on a stream: one in, any number out (docs/protocol.md, wire.py).

Promises: every wait is bounded by a silence; a frame that is not whole and sound is told from one
that is; nothing is allocated per frame once the views of the buffer exist, but for texts.
"""

import select

from . import crc32, wire
from .loops import copy
from .port import const

_CHUNK = const(32)  # bytes asked for in one go of a stream that does not wait for all of them


class Line:
    """One request at a time from `stream`, its replies to `out` (None: `stream` too).

    frame: largest payload in bytes, both ways. gap_ms: silence inside a frame that ends it.
    The request's head is in `_rx`, its payload in `_buf[:_n]`; replies go out by `_tx` and `_buf`.
    """

    def __init__(self, stream, out, frame, gap_ms):
        self._in = getattr(stream, "buffer", stream)
        out = stream if out is None else out
        self._out = getattr(out, "buffer", out)
        self._poller = select.poll()
        self._poller.register(stream, select.POLLIN)
        self.frame = frame
        self._gap = gap_ms
        self._buf = bytearray(frame)
        self._mem = memoryview(self._buf)
        self._rx = bytearray(wire.HEAD)
        self._tx = bytearray(wire.HEAD)
        self._acc = bytearray(4)
        self._tail = bytearray(4)
        chunk = bytearray(_CHUNK)
        self._chunk = chunk
        self._pieces = [memoryview(chunk)[: 1 << i] for i in range(6)]
        self._most = 5 if hasattr(stream, "any") else 0  # machine.UART has a timeout of its own
        self._views = {}
        self._n = 0

    # Receiving

    def _ready(self, ms):
        for _ in self._poller.ipoll(ms):
            return True
        return False

    def _receive(self, buf, at, n):
        # n bytes into buf[at:]; False after a silence. stdin blocks until it has all that it is
        # asked for: a lost byte would hold the board for good. So it is asked for one at a time.
        end = at + n
        while at < end:
            if not self._ready(self._gap):
                return False
            n = self._in.readinto(self._piece(end - at))
            if not n:
                return False
            copy(buf, at, self._chunk, 0, n)
            at += n
        return True

    def _piece(self, n):
        i = self._most
        while 1 << i > n:
            i -= 1
        return self._pieces[i]

    def _head(self):
        # The next head in self._rx. Bytes that begin none are dropped, one at a time.
        have = 0
        dropped = 0
        while dropped < 4 * wire.MAX_PAYLOAD:
            if not self._receive(self._rx, have, wire.HEAD - have):
                return False
            if wire.sound(self._rx):
                return True
            have = self._shift()
            dropped += 1
        return False

    def _shift(self):
        # Move what follows the first byte, from the next magic on, to the front; its length.
        i = 1
        while i < wire.HEAD and self._rx[i] != wire.MAGIC:
            i += 1
        copy(self._rx, 0, self._rx, i, wire.HEAD - i)
        return wire.HEAD - i

    def _frame(self):
        # One whole frame: head in _rx, payload in _buf, its length in _n. 0, or an error code.
        self._n = wire.get2(self._rx, 10)
        if not self._n:
            return 0
        if self._n > self.frame:
            return wire.E_FRAME
        if not self._receive(self._buf, 0, self._n) or not self._receive(self._tail, 0, 4):
            return wire.E_FRAME
        wire.begin(self._acc, self._rx)
        crc32.update(self._acc, self._buf, 0, self._n)
        return 0 if self._acc == self._tail else wire.E_FRAME

    # Sending

    def _view(self, at, n):
        key = at << 14 | n
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._mem[at : at + n]
        return view

    def _send(self, kind, a, b, at, n):
        # A frame with the payload _buf[at : at + n].
        self._tx[1] = kind
        self._tx[2] = self._rx[2]
        self._stamp(a, b, n)
        self._out.write(self._tx)
        if n:
            self._body(at, n)

    def _stamp(self, a, b, n):
        wire.stamp(self._tx, a, b, n)

    def _body(self, at, n):
        wire.begin(self._acc, self._tx)
        crc32.update(self._acc, self._buf, at, at + n)
        self._out.write(self._view(at, n))
        self._out.write(self._acc)

    def _ok(self, a, b):
        self._tx[3] = 0
        self._send(wire.OK, a, b, 0, 0)

    def _error(self, code, text, a=0):
        text = text.encode()[: self.frame]
        self._buf[: len(text)] = text
        self._tx[3] = 0
        self._send(wire.ERROR, a, code, 0, len(text))

    def _text(self, text):
        text = text.encode()
        at = 0
        while True:
            part = text[at : at + self.frame]
            self._buf[: len(part)] = part
            self._tx[3] = 0
            self._send(wire.TEXT, at, at + len(part) >= len(text), 0, len(part))
            at += len(part)
            if at >= len(text):
                return
