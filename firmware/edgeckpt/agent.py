"""The board's side of the serial protocol (docs/protocol.md): requests and their answers.

Frames come and go through line.py, restores through transfer.py.

`serve()` is what the host starts through the REPL; `Agent(uart).poll()` is for a program that
answers on a stream of its own while it runs.

Promises: every wait is bounded; the REPL and its Ctrl-C are back whatever happens; what the host
sends becomes durable only through `Commit`, as a new checkpoint, after its CRC-32 has been
checked; READ, DIGEST and WRITE allocate nothing per frame once their views exist.
"""

import sys

from . import crc32, header, wire
from .errors import Catch, EdgeError
from .geometry import blocks_for
from .lease import live
from .line import Line
from .loops import blank, copy
from .port import const
from .restore import attach, find
from .ring import SlotRing
from .scan import Scan
from .transfer import Transfer

_DATA = const(1024)  # bytes of a DATA frame: what a broken line loses of one is read again


class _Refused(Exception):
    """A request that is answered with an ERROR frame."""

    def __init__(self, code, text, a=0):
        super().__init__(text)
        self.code = code
        self.a = a


_kept = None  # the transfer of the last agent
_sessions = 0  # how often `serve()` was called since the board was reset


class Agent(Line):
    """Answers on `stream` (and `out`, if output goes elsewhere), e.g. a `machine.UART`.

    frame: largest payload in bytes, both ways; RAM in use is about twice that.
    ring: bytes that the receiver of the stream holds (told to the host).
    read_only: refuse every write. key: bytes; writes need HMAC-SHA256 of a challenge first.
    gap_ms: silence inside a frame that ends it.
    leases: a list; default: the live ones (`edgeckpt.lease.live`); where there is none, the
    module `edgeckpt_leases`, if there is one, is imported to create them.

    `restored` counts commits by the host: a program that polls restores its state when it grows.
    """

    def __init__(
        self, stream, out=None, *, frame=1024, ring=256, read_only=False, key=None, leases=None,
        gap_ms=100,
    ):  # fmt: skip
        frame = max(256, min(frame, wire.MAX_PAYLOAD))
        super().__init__(stream, out, frame, gap_ms)
        self.ring = ring
        self.read_only = read_only
        self._key = key
        self._challenge = None
        self._trusted = key is None
        self._given = leases
        self.restored = 0
        self._data = frame
        self._caught = Catch()
        self._reading = Catch()
        self._last = None
        self._run = 0
        self._open = True
        self.frames = 0
        self.session = 0  # the n-th of the REPL; 0: polled by a program
        self.back = False

    # Serving

    def poll(self, ms=0):
        """Answer the frames that have come, for at most one of them beyond `ms`. True if any."""
        if not self._ready(ms):
            return False
        if self._head():
            self._answer()
        return True

    def serve(self, idle_ms=6000):
        """Answer until BYE, or until nothing sound has come for `idle_ms`. Whether the board's
        program is to run again: as BYE says, or else `back`."""
        self._rx[2] = 0
        self._ok(wire.PROTOCOL, self.frame)
        self._open = True
        while self._open:
            seen = self.frames
            if not self.poll(idle_ms) or seen == self.frames and not self._ready(idle_ms):
                break
        return self.back

    def _answer(self):
        self.frames += 1
        code = self._frame()
        if code:
            self._error(code, "frame: CRC-32, or more than %d bytes" % self.frame)
            return
        with self._caught:
            self._dispatch(self._rx[1])
        if self._caught.error is not None:
            self._say(self._caught.take())

    def _say(self, e):
        # A request that failed is answered; what is no Exception (a reset, Ctrl-C) passes.
        if isinstance(e, _Refused):
            self._error(e.code, str(e), e.a)
        elif isinstance(e, (EdgeError, OSError)):
            self._error(wire.E_MEDIUM, "%s: %s" % (getattr(e, "reason", "device"), e))
        elif isinstance(e, Exception):
            self._error(wire.E_INTERNAL, repr(e))
        else:
            raise e

    def _dispatch(self, kind):
        if kind == wire.WRITE:
            self._write()
        elif kind == wire.READ:
            self._read()
        elif kind == wire.DIGEST:
            self._digest()
        elif kind == wire.HELLO:
            self._hello()
        elif kind == wire.STATUS:
            self._text(_json(self._status(self._rx[3])))
        elif kind == wire.ECHO:
            self._tx[3] = 0
            self._send(wire.DATA, 0, 0, 0, self._n)
        elif kind == wire.BYE:
            self.back = self._rx[3] != 0
            self._ok(0, 0)
            self._open = False
        else:
            self._dispatch_write(kind)

    def _dispatch_write(self, kind):
        if kind == wire.BEGIN:
            self._begin()
        elif kind == wire.PLAN:
            self._plan()
        elif kind == wire.COMMIT:
            self._commit()
        elif kind == wire.ABORT:
            self._forget()
            self._ok(0, 0)
        elif kind == wire.AUTH:
            self._auth()
        else:
            raise _Refused(wire.E_KIND, "unknown request 0x%02x" % kind)

    # What there is

    def _leases(self):
        if self._given is not None:
            return self._given
        if not live:
            _import_leases()
        return live

    def _lease(self, i):
        leases = self._leases()
        if i >= len(leases):
            raise _Refused(wire.E_LEASE, "no lease %d, there are %d" % (i, len(leases)))
        return leases[i]

    def _hello(self):
        if wire.get4(self._rx, 4) != wire.PROTOCOL:
            raise _Refused(
                wire.E_VERSION,
                "protocol %d, this board speaks %d" % (wire.get4(self._rx, 4), wire.PROTOCOL),
            )
        from . import __version__

        self._text(
            _json(
                {
                    "protocol": wire.PROTOCOL,
                    "version": __version__,
                    "platform": sys.platform,
                    "python": sys.version.split("; ")[-1],
                    "frame": self.frame,
                    "ring": self.ring,
                    "read_only": self.read_only,
                    "key": self._key is not None,
                    "leases": len(self._leases()),
                    "session": self.session,
                    "back": self.back,
                }
            )
        )

    def _status(self, i):
        from .look import describe, hex_id

        lease = self._lease(i)
        owner = lease.ring
        magic, version = _writer(lease)
        d = {
            "index": i,
            "lease_id": hex_id(lease.id_bytes),
            "start": lease.start,
            "count": lease.count,
            "block_size": lease.block_size,
            "blocks": lease.blocks,
            "unit_blocks": lease.unit_blocks,
            "erases": lease.erases,
            "owned": owner is not None,
            "magic": "".join(chr(b) for b in magic),
            "version": version,
            "slot_blocks": owner.slot_blocks if owner else 0,
            "schema": getattr(owner, "schema", b"").decode(),
            "newest": -1,
            "sequence": 0,
            "corrupt": -1,
            "damaged": -1,
            "torn": False,
            "foreign": None,
            "odd": None,
            "given_up": 0,
        }
        if not owner:
            d["slot_blocks"], found = find(lease, magic, version)
            if found is not None:
                d["torn"] = found.torn > 0
                if found.other is not None:
                    d["foreign"] = describe(found.other)
        if d["slot_blocks"]:
            scan = Scan(lease, d["slot_blocks"], magic, version)
            scan.scan()
            for name in ("newest", "sequence", "slots", "per_group", "capacity"):
                d[name] = getattr(scan, name)
            d["given_up"] = owner.given_up if owner else len(set(scan.avoid))
            d["unreadable"] = 0
            for kind, slot, got, want in reversed(scan.findings):
                if kind == "data":
                    d["corrupt"] = slot
                elif kind == "damaged":
                    d["damaged"] = slot
                elif kind == "torn":
                    d["torn"] = True
                elif kind == "read":
                    d["unreadable"] += 1
                elif kind == "foreign":
                    d["foreign"] = describe(got)
                else:
                    d["odd"] = "slot %d: %s; expected %s" % (slot, got, want)
        return d

    # Reading: allocation-free per frame

    def _range(self):
        # READ and DIGEST: first block, count, stride or group; the lease must have them.
        if self._n != 12:
            raise _Refused(wire.E_ARGUMENT, "payload of %d bytes, expected 12" % self._n)
        self._of = self._lease(self._rx[3])
        self._at = wire.get4(self._buf, 0)
        self._left = wire.get4(self._buf, 4)
        self._step = wire.get4(self._buf, 8)
        blocks = self._of.blocks
        if self._at < 0 or self._left < 0 or self._step < 1 or self._at > blocks:
            raise _Refused(wire.E_ARGUMENT, "blocks: the lease has %d" % blocks, blocks)
        if self._left > blocks:
            raise _Refused(wire.E_ARGUMENT, "blocks: the lease has %d" % blocks, blocks)

    def _read(self):
        self._range()
        if self._left and self._at + (self._left - 1) * self._step >= self._of.blocks:
            raise _Refused(wire.E_ARGUMENT, "blocks: the lease has %d" % self._of.blocks)
        if self._of.block_size > self.frame:
            raise _Refused(wire.E_ARGUMENT, "frames hold less than a block")
        self._limit()
        if self._last is None or len(self._last) != self._of.block_size:
            self._last = bytearray(self._of.block_size)
        self._known = False  # whether _last holds the block before
        self._run = 0
        with self._reading:
            self._spans()
        self._flush(0)
        if self._reading.error is not None:
            e = self._reading.take()
            if not isinstance(e, Exception):
                raise e
            raise _Refused(wire.E_MEDIUM, "read: block %d: %s" % (self._at, e), self._at)
        self._ok(self._at, 0)

    def _limit(self):
        # Bytes of a DATA frame: as the host asks; of long ones a line with noise carries few.
        self._data = max(self._of.block_size, min(self.frame, wire.get4(self._rx, 4) or _DATA))

    def _spans(self):
        while self._left > 0:
            self._span(self._span_blocks(), self._of.block_size)

    def _span_blocks(self):
        # Blocks read in one go: within a frame, and on flash within an erase unit.
        if self._step != 1:
            return 1
        n = self._data // self._of.block_size
        if n > self._left:
            n = self._left
        if self._of.erases:
            room = self._of.unit_blocks - self._at % self._of.unit_blocks
            n = n if n < room else room
        return n

    def _span(self, n, size):
        self._fetch(n, n * size)
        i = 0
        while i < n:
            self._sort(i, size)
            i += 1
        # The buffer is needed again; runs of blank and repeated blocks may go on.
        if self._run and self._kind == wire.DATA:
            self._flush(size)
        self._keep((n - 1) * size)
        self._at += n * self._step
        self._left -= n

    def _fetch(self, n, size):
        if not self._of.read(self._at, n, self._view(0, size)):
            raise self._of.failed()

    def _keep(self, at):
        copy(self._last, 0, self._buf, at, len(self._last))

    def _sort(self, i, size):
        # Block i of the span: begin or lengthen a run of its kind.
        view = self._view(i * size, size)
        kind = wire.DATA
        if blank(view, size):
            kind = wire.BLANK
        elif self._known and self._step == 1:
            if i and view == self._view(i * size - size, size) or not i and view == self._last:
                kind = wire.SAME
        self._known = True
        if self._run and (kind != self._kind or self._step != 1):
            self._flush(size)
        if not self._run:
            self._kind = kind
            self._from = i
            self._block = self._at + i
        self._run += 1

    def _flush(self, size):
        if not self._run:
            return
        if self._kind == wire.DATA:
            self._tx[3] = self._run
            self._send(wire.DATA, self._block, 0, self._from * size, self._run * size)
        else:
            self._tx[3] = 0
            self._send(self._kind, self._block, self._run, 0, 0)
        self._run = 0

    def _digest(self):
        self._range()
        if self._left and self._at + self._left > self._of.blocks:
            raise _Refused(wire.E_ARGUMENT, "blocks: the lease has %d" % self._of.blocks)
        if self._last is None or len(self._last) != self._of.block_size:
            self._last = bytearray(self._of.block_size)
        self._known = False
        n = 0
        group = 0
        while self._left > 0:
            self._digest_group(n)
            n += 4
            if n + 4 > self.frame or not self._left:
                self._tx[3] = 0
                self._send(wire.DIGESTS, group, 0, 0, n)
                group += n // 4
                n = 0
        self._ok(self._at, 0)

    def _digest_group(self, n):
        crc32.reset(self._tail)
        i = 0
        while i < self._step and self._left > 0:
            if not self._of.read(self._at, 1, self._last):
                raise self._of.failed()
            crc32.update(self._tail, self._last, 0, len(self._last))
            self._at += 1
            self._left -= 1
            i += 1
        copy(self._buf, n, self._tail, 0, 4)

    # Writing

    def _may_write(self):
        if self.read_only:
            raise _Refused(wire.E_READ_ONLY, "this agent is read-only")
        if not self._trusted:
            raise _Refused(wire.E_AUTH, "this agent needs a key for writes")

    def _auth(self):
        if self._key is None:
            self._ok(0, 0)
        elif not self._n:
            import os

            self._challenge = os.urandom(16)
            self._buf[:16] = self._challenge
            self._tx[3] = 0
            self._send(wire.DATA, 0, 0, 0, 16)
        else:
            from .key import hmac_sha256, same

            challenge, self._challenge = self._challenge, None
            got = bytes(self._mem[: self._n])
            if challenge is None or not same(got, hmac_sha256(self._key, challenge)):
                raise _Refused(wire.E_AUTH, "the key does not fit")
            self._trusted = True
            self._ok(0, 0)

    def _asked(self):
        # BEGIN, PLAN: (token, nonce, lease, slot_blocks, length, schema crc, schema text)
        if self._n < wire.BEGIN_FIXED:
            raise _Refused(wire.E_ARGUMENT, "payload of %d bytes, expected 12 or more" % self._n)
        lease = self._lease(self._rx[3])
        length = wire.get4(self._rx, 4)
        blocks = wire.get2(self._rx, 8)
        if lease.ring is not None:
            blocks = lease.ring.slot_blocks
        else:
            found = find(lease, *_writer(lease))[0]
            blocks = found or blocks or blocks_for(length, lease.block_size)
        nonce = bytes(self._mem[0:4])
        token = (self._rx[3], length, blocks, bytes(self._mem[4 : self._n]))
        return token, nonce, lease, blocks, length

    def _ring_of(self, lease, blocks, length):
        # That of a stage knows what is on the medium.
        ring = lease.ring
        if ring is None:
            ring = SlotRing(lease, blocks)
            attach(ring)
        if length > ring.capacity:
            raise _Refused(
                wire.E_ARGUMENT,
                "%d bytes, a slot holds %d" % (length, ring.capacity),
                ring.capacity,
            )
        return ring

    def _plan(self):
        token, nonce, lease, blocks, length = self._asked()
        ring = self._ring_of(lease, blocks, length)
        group = ring.following()
        self._text(
            _json(
                {
                    "slot_blocks": blocks,
                    "programs": 1 + (length + lease.block_size - 1) // lease.block_size,
                    "erases": ring.group_units,
                    "erase_unit": group * ring.group_units if ring.group_units else None,
                    "sequence": ring.sequence + ring.reserved + 1,
                    "replaces": ring.newest,
                    "writable": not self.read_only and self._trusted,
                }
            )
        )

    def _begin(self):
        global _kept
        self._may_write()
        token, nonce, lease, blocks, length = self._asked()
        t = _kept
        if t is not None and t.lease is lease and t.token == token:
            if nonce == t.nonce or t.done < 0 and t.untouched():
                t.nonce = nonce
                self._ok(t.got, t.ring.slot_blocks)
                return
        _kept = None
        _kept = Transfer(token, nonce, lease, self._ring_of(lease, blocks, length))
        self._ok(0, blocks)

    def _transfer(self):
        self._may_write()
        if _kept is None:
            raise _Refused(wire.E_TRANSFER, "no transfer is open")
        return _kept

    def _forget(self):
        global _kept
        _kept = None

    def _write(self):
        t = self._transfer()
        a = wire.get4(self._rx, 4)
        if a > t.got or t.done >= 0 or t.got + self._n > t.length and a == t.got:
            raise _Refused(wire.E_TRANSFER, "offset %d, expected %d" % (a, t.got), t.got)
        if a == t.got:
            if not t.untouched():
                self._forget()
                raise _Refused(
                    wire.E_TRANSFER, "the board made a checkpoint meanwhile; begin anew"
                )
            t.take(self._buf, self._n)
        self._ok(t.got, 0)

    def _commit(self):
        t = self._transfer()
        if t.done >= 0:
            self._ok(t.done, t.commit.slot & 0xFFFF)
            return
        if t.got != t.length:
            raise _Refused(wire.E_TRANSFER, "%d bytes of %d have come" % (t.got, t.length), t.got)
        if not t.untouched():
            self._forget()
            raise _Refused(wire.E_TRANSFER, "the board made a checkpoint meanwhile; begin anew")
        try:
            if not t.finish():
                raise _Refused(wire.E_DATA, "the data has another CRC-32 than announced")
        except Exception:
            self._forget()
            raise
        self.restored += 1
        self._ok(t.done, t.commit.slot & 0xFFFF)


def _import_leases():
    try:
        import edgeckpt_leases  # noqa: F401  the application's: it creates its leases
    except ImportError:
        pass


def _json(d):
    import json

    return json.dumps(d)


def _writer(lease):
    # (magic, version) of the headers: as the owner writes them, or ours.
    return (lease.ring.magic, lease.ring.version) if lease.ring else (header.MAGIC, header.VERSION)


def serve(frame=0, idle_ms=6000, back=False, **options):
    """Serve the host on the REPL's own stream. Ctrl-C is data meanwhile, and itself afterwards.

    frame: below 512, what the heap has room for is taken, 512 to 8192 bytes.
    back: run the board's program again (by a soft reset) where the host goes without a word.
    """
    global _sessions
    from micropython import kbd_intr

    if frame < 512:
        import gc

        gc.collect()
        free = gc.mem_free()
        frame = 8192 if free > 262144 else 4096 if free > 98304 else 2048 if free > 32768 else 512
    agent = Agent(sys.stdin, sys.stdout, frame=frame, **options)
    _sessions += 1
    agent.session = _sessions
    agent.back = bool(back)
    kbd_intr(-1)
    try:
        back = agent.serve(idle_ms)
    finally:
        kbd_intr(3)
    if back:
        print()  # what the board says next begins a line
        raise SystemExit
