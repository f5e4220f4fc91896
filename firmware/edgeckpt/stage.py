"""`CheckpointedStageState`: a state, the lease it is kept in, and who is told of a flush.

Promises: `checkpoint()` either returns, and then the state is durable and has been read back,
or raises at once, and then the checkpoint before it still restores. It allocates nothing up to
the raise. The observer's completion comes exactly once per flush, whatever happens.

    state --codec--> a buffer --SlotWriter--> BlockLease --> device
"""

from . import header, probe, slots
from .commit import SlotWriter
from .errors import Catch, CheckpointFailed, EdgeError, LeaseError, RestoreFailed, SchemaError
from .lease import BlockLease, id_bytes
from .observe import CheckpointFlushObserver
from .port import byte_view

_DEFAULT_SLOT = 4096  # bytes of a slot whose schema sets no bound: one usual erase unit


class CheckpointedStageState:
    """Keeps `state` in `lease`, one checkpoint after the other.

    state: what `schema` describes (docs/design.md, "Codec", has the forms), or a buffer
        (bytearray, memoryview, array), which is written as it is, without a copy; its size
        must not change.
    lease: a live `BlockLease`; it moves in, the handle given ends.
    schema: schema text (docs/format.md). Default: the attribute `SCHEMA` of the state; a buffer
        needs none.
    capacity: bytes of state that a slot holds. Default: the largest encoding of the schema;
        where that has no bound (Vec, str, bytes, Map), what fits a slot of 4096 bytes. It is
        part of the geometry on the medium: choose it once, with room to grow.
    observer: a `CheckpointFlushObserver`.

    The constructor reads headers and writes nothing. Errors: LeaseError, SchemaError;
    CheckpointFailed `read` where no header can be read.

    Attributes: `state` (another one may be assigned; a buffer by one of the same size);
    `sequence` of the newest checkpoint (0: none yet); `fell_back`: True if
    `restore(fallback=True)` had to take an older checkpoint than the newest.

    While a flush runs, an observer, a device or an interrupt handler that calls into the same
    stage gets an error `busy`; so does one that assigns a buffer.
    """

    def __init__(
        self,
        state,
        lease,
        schema=None,
        *,
        capacity=None,
        observer=None,
        magic=header.MAGIC,
        version=header.VERSION,
    ):
        _check(lease)
        self._adopt(state, schema)
        size = lease.block_size
        blocks = slots.blocks_for(self._capacity(capacity, size), size)
        ring = slots.SlotRing(lease, blocks, magic, version)
        ring.scan()
        ring.doubt()
        self._own(ring, observer)

    @classmethod
    def with_observer(cls, state, lease, lease_id, observer, schema=None, **options):
        """The constructor, with an observer that is told `lease_id` at each flush.

        `lease_id` must be that of the lease. LeaseError `argument` if it is not.
        """
        _check(lease)
        if id_bytes(lease_id) != lease.id_bytes:
            raise LeaseError(
                "argument", "lease_id", lease_id, "that of the lease, %r" % (lease.lease_id,)
            )
        self = cls(state, lease, schema, observer=observer, **options)
        self._lease_id = lease_id
        return self

    @classmethod
    def resume(
        cls,
        state,
        lease,
        schema=None,
        *,
        into=None,
        fallback=False,
        plain=False,
        migrate=None,
        moved_from=None,
        **options,
    ):
        """The newest checkpoint of `lease`; where it never had one, a new wrapper of `state`.

        What a program calls at its start. The checkpoint is put into `state`, so that
        `stage.state` is `state` either way; where that cannot be changed (bytes, str, tuple,
        numbers, None), or `into` is given, it is as of `restore`. Errors as of `restore`, options
        as of the constructor: whatever is found but cannot be restored is an error, never a
        fresh start.

        migrate: as of `restore`; fields that are new keep what `state` holds.
        moved_from: another lease, where the state was kept so far. While `lease` has no
            checkpoint, the one of `moved_from` is taken; it stays as it is. Its handle ends.
        """
        if into is None and not (state is None or isinstance(state, _FIXED)):
            into = state
        if schema is None:
            schema = getattr(state, "SCHEMA", None)
        for _ in range(2):  # a fresh start only where a second look finds nothing either
            try:
                return cls.restore(
                    lease,
                    schema,
                    into=into,
                    fallback=fallback,
                    plain=plain,
                    migrate=migrate,
                    **options,
                )
            except RestoreFailed as e:
                # Where a block could not be read (`cause`), that is not known.
                if e.cause or e.reason != "none" and not e.torn:
                    raise
        if moved_from is not None:
            there = cls.resume(
                state, moved_from, schema, into=into, fallback=fallback, migrate=migrate
            )
            state = there.state
            there.into_block_lease().release()
        return cls(state, lease, schema, **options)

    @classmethod
    def restore(
        cls,
        lease,
        schema=None,
        *,
        into=None,
        fallback=False,
        plain=False,
        migrate=None,
        capacity=None,
        observer=None,
        magic=header.MAGIC,
        version=header.VERSION,
    ):
        """The newest checkpoint of `lease`, as a new wrapper that owns the lease.

        schema: expected schema text; default: the one in the header. A checkpoint of another is
            taken over by rule (docs/manual.md, "From one version to the next"): fields that are
            new keep what `into` holds, integers may be wider.
        migrate: True: fields that are gone are dropped; a function: it is called with the value
            of a checkpoint with another schema and with that text, and gives the value to take;
            False: such a checkpoint is refused.
        into: an object, dict, list or buffer that takes the state; default: new dicts and lists
            (a bytearray for a state without schema).
        fallback: accept an older checkpoint where the newest is corrupt (`fell_back` says so).
        plain: accept a plain image (no integrity data) in slot 0 where there is nothing else.
        capacity: as of the constructor, checked against the medium; default: what is there.

        Raises RestoreFailed with reason `none`, `header`, `data`, `version`, `geometry`,
        `lease-id`, `schema`, `schema-missing`, `decode`, `trailing`, `plain` or `read`. Then the
        lease is still the caller's, and nothing was written.
        """
        _check(lease)
        if capacity is not None:
            blocks = slots.blocks_for(capacity, lease.block_size)
        else:
            blocks, other, torn, error = _probe(lease, magic, version)
            if not blocks:
                if plain and other is not None and other.kind == header.PLAIN:
                    return cls._restore_plain(
                        lease, other, schema, into, capacity, observer, magic, version
                    )
                _nothing(lease, other, torn, error)
        try:
            ring = slots.SlotRing(lease, blocks, magic, version)
            state, text, doubtful = _newest(ring, fallback, schema, into, migrate)
        except LeaseError as e:
            raise RestoreFailed("geometry", 0, e.where, e.want, cause=e)
        except CheckpointFailed as e:
            raise _unread(e)
        self = object.__new__(cls)
        self.fell_back = doubtful
        self._adopt(state, text)
        self._own(ring, observer)
        return self

    def _adopt(self, state, schema):
        # Sets state, codec (None for buffers), text, crc of the schema, _largest encoding.
        self._state = state
        self._codec = None
        self._pieces = None
        self._text = b""
        self._crc = bytearray(4)
        raw = _as_buffer(state)
        if schema is None:
            schema = getattr(state, "SCHEMA", None)
        if schema is None:
            if raw is None:
                raise SchemaError("argument", "schema", None, "the schema text of the state")
        else:
            from . import codec

            if not isinstance(schema, str):
                raise SchemaError("argument", "schema", repr(schema)[:40], "a schema text, str")
            self._codec = codec.compile(schema, like=state)
            self._text = self._codec.text.encode()
            self._crc = self._codec.crc
            self._largest = self._codec.max_size
            if raw is None or self._codec.text != "[u8;%d]" % len(raw):
                return
        self._raw = raw
        self._largest = len(raw)

    def _capacity(self, asked, block_size):
        if asked is None:
            asked = self._largest
        if asked is None:
            asked = max(_DEFAULT_SLOT - block_size, block_size)
        return max(asked, 1)

    def _own(self, ring, observer):
        # From here on the lease is the wrapper's.
        ring.found = None  # its RAM
        ring.lease = ring.lease.move()
        ring.lease.ring = ring
        ring.schema = self._text  # for the host, where the text does not fit the header
        self._ring = ring
        self._lease_id = ring.lease.lease_id
        self._observer = CheckpointFlushObserver() if observer is None else observer
        self._writer = SlotWriter(ring)
        self._writer.header.set_schema(self._text, self._crc)
        self._caught = Catch()
        self._observing = False
        self._busy = False
        self._preparing = False
        # Raised where the heap has no room for a fresh error (its reason is then filled in).
        self._reserve = CheckpointFailed("memory")
        if self._raw is not None:
            self._pieces = _cut(self._raw, ring.lease)
        else:
            self._make_buffer(ring.lease.block_size, ring.capacity)

    def _make_buffer(self, size, n):
        # One encoding, at most; as the layout blocks that it is written in.
        if self._largest is not None and self._largest < n:
            n = (self._largest + size - 1) // size * size
        self._encoded = bytearray(n)
        view = memoryview(self._encoded)
        self._blocks = [view[i : i + size] for i in range(0, n, size)]

    _raw = None
    _largest = None
    fell_back = False

    # Reading back

    @classmethod
    def _restore_plain(cls, lease, h, schema, into, capacity, observer, magic, version):
        # A plain image of any Durable-style writer: blocks 1..N behind the header in block 0.
        size = lease.block_size
        blocks = slots.blocks_for(h.data_len, size)
        if blocks > lease.blocks:
            raise RestoreFailed("geometry", 0, "%d bytes" % h.data_len, "%d blocks" % lease.blocks)
        data = bytearray(blocks * size - size)
        view = memoryview(data)
        for i in range(blocks - 1):
            error = probe.read(lease, 1 + i, view[i * size : (i + 1) * size])
            if error is not None:
                raise RestoreFailed("read", 1 + i, repr(error), cause=error)
        data = data[: h.data_len]
        self = object.__new__(cls)
        if schema is None:
            self._adopt(data, None)
        else:
            self._adopt(_decode(schema, data, 0, into), schema)
        capacity = self._capacity(capacity, size)
        blocks = max(blocks, slots.blocks_for(capacity, size))
        ring = slots.SlotRing(lease, blocks, magic, version)
        ring.protect(0)
        self._own(ring, observer)
        return self

    def history(self):
        """The committed checkpoints of the lease, newest first, as (sequence, slot)."""
        return self._idle("history()").history()

    def older(self, sequence, into=None):
        """The state of the committed checkpoint `sequence`, by the schema in its header.

        Changes nothing: the wrapper goes on with its own state. RestoreFailed as of `restore`;
        `none` if the lease does not hold that checkpoint (any more).
        """
        ring = self._idle("older()")
        for number, slot in ring.history():
            h = ring.read_header(slot)
            if number == sequence and h is not None:
                return _read(ring, h, slot, None, into)[0]
        raise RestoreFailed("none", None, ring.slots)

    @property
    def ring(self):
        """The `SlotRing` of the lease: geometry, newest slot, counts of erases and programs."""
        return self._live()

    @property
    def sequence(self):
        return self._live().sequence

    @property
    def state(self):
        """What the next checkpoint writes."""
        return self._state

    @state.setter
    def state(self, state):
        if self._pieces is not None:
            self._idle("state =")
            raw = _as_buffer(state)
            if raw is None or len(raw) != len(self._raw):
                raise SchemaError(
                    "argument", "state", repr(state)[:40], "a buffer of %d bytes" % len(self._raw)
                )
            self._raw = raw
            self._pieces = _cut(raw, self._live().lease)
        self._state = state

    # Writing; allocation-free

    def checkpoint(self):
        """Make the state durable. Raises CheckpointFailed, and then the one before restores."""
        self._idle("checkpoint()")
        self._flush(False)

    def prepare(self):
        """Erase ahead, so that the next `checkpoint()` only programs pages."""
        self._idle("prepare()")
        self._flush(True)

    def into_block_lease(self):
        """Give the lease away and end this wrapper. Returns a new `BlockLease` handle."""
        lease = self._idle("into_block_lease()").lease.move()
        lease.ring = None
        self._ring = None
        return lease

    def _live(self):
        if self._ring is None:
            raise LeaseError("ended", None, "stage")
        return self._ring

    def _idle(self, what):
        # The buffers and the ring are those of the flush while one runs.
        ring = self._live()
        if self._busy:
            raise CheckpointFailed("busy", None, what)
        return ring

    def _flush(self, preparing):
        self._busy = True
        # Set when no handler can flush any more: one that did before has left its own here.
        self._preparing = preparing
        try:
            self._attempt()
            self._complete()
        finally:
            self._busy = False
        if self._caught.error is not None:
            self._fail(self._caught.take())

    # MicroPython takes a Ctrl-C at jumps: between the two `with` there is none.

    def _attempt(self):
        self._ring.lease.doing = None
        with self._caught:
            self._observing = True
            self._observer.on_flush_start(self._lease_id)
            self._observing = False
            self._work()
            self._observing = True

    def _complete(self):
        with self._caught:
            self._observer.on_flush_complete(self._lease_id)

    def _work(self):
        if self._preparing:
            self._ring.prepare()
        elif self._pieces is not None:
            self._write_pieces()
        else:
            self._encode()

    def _encode(self):
        # Once, into RAM: nothing is erased for a state that does not encode or does not fit.
        writer = self._writer
        n = self._codec.encode(self._state, self._encoded)
        writer.begin()
        i = 0
        while n >= writer.mark:
            writer.write(1, writer.mark, self._blocks[i])
            n -= writer.mark
            i += 1
        if n:
            writer.put(self._blocks[i])
        writer.finish(n)

    def _write_pieces(self):
        writer = self._writer
        writer.check(len(self._raw))
        writer.begin()
        i = 0
        while i < len(self._pieces) - 1:
            self._write_piece(self._pieces[i])
            i += 1
        writer.finish(writer.put(self._pieces[i]))

    def _write_piece(self, piece):
        self._writer.write(len(piece) // self._writer.mark, len(piece), piece)

    def _fail(self, error):
        if not isinstance(error, Exception) or isinstance(error, CheckpointFailed):
            raise error
        lease = self._ring.lease
        reason = "observer" if self._observing else lease.doing or "state"
        if reason == "state" and getattr(error, "reason", None) == "too-large":
            reason = "too-large"
        try:
            got = error.got if reason == "too-large" else repr(error)
            error = CheckpointFailed(reason, lease.at, got, self._ring.capacity, cause=error)
        except MemoryError:
            error = self._reserve
            error.reason = reason
        raise error


_FIXED = (bytes, str, tuple, int, float, bool)  # states that cannot be changed in place


def _check(lease):
    if not isinstance(lease, BlockLease):
        raise LeaseError("argument", "lease", repr(lease)[:40], "a BlockLease")
    lease.check()


def _as_buffer(x):
    try:
        return byte_view(x) if not isinstance(x, (str, int)) else None
    except TypeError:
        return None


def _cut(raw, lease):
    # Views of `raw` that are written as they are: whole layout blocks, on flash never across an
    # erase unit (the first block of a slot is its header); last the rest, 0 to a block long.
    size = lease.block_size
    whole = len(raw) // size * size
    pieces = []
    at = 0
    room = (lease.unit_blocks - 1) * size if lease.erases else whole
    while at < whole:
        n = min(room, whole - at)
        if n:
            pieces.append(raw[at : at + n])
        at += n
        room = lease.erase_unit if lease.erases else whole
    pieces.append(raw[whole:])
    return pieces


def _newest(ring, fallback, schema, into, migrate):
    # (state, schema text, whether the newest had to be passed over). What was intact and is not
    # when it is read again was left by a cut, and the search may find it so.
    looks = 3
    while True:
        ring.scan()
        doubtful = ring.corrupt >= 0 or ring.odd is not None
        if ring.newest < 0 or doubtful and not fallback:
            _unrestorable(ring)
        looks -= 1
        try:
            state, text = _read(ring, ring.found, ring.newest, schema, into, migrate)
            return state, text, doubtful
        except RestoreFailed as e:
            if e.reason != "data" or not looks:
                raise


def _read(ring, h, slot, schema, into, migrate=False):
    # The state in `slot`, whose header is `h`, and its schema text (None for raw bytes).
    text = h.schema.decode() if h.schema_len else None
    codec = older = None
    if schema is not None:
        codec = _compile(schema)
        if int.from_bytes(codec.crc, "little") != h.schema_crc:
            older = text
            if older is None or migrate is False:
                found = text or "CRC-32 0x%08x" % h.schema_crc
                raise RestoreFailed("schema", slot, found, codec.text)
        text = codec.text
    elif text is None and h.schema_crc:
        raise RestoreFailed("schema-missing", slot, "0x%08x" % h.schema_crc)
    if older is None:
        if into is None and (text is None or text == "[u8;%d]" % h.data_len):
            into = bytearray(h.data_len)
        raw = None if into is None else _as_buffer(into)
        if raw is not None and (text is None or text == "[u8;%d]" % len(raw)):
            if len(raw) != h.data_len:
                raise RestoreFailed("geometry", slot, "%d bytes" % h.data_len, "%d" % len(raw))
            if not ring.read_data(h, slot, raw):
                raise RestoreFailed("data", slot, h.sequence, cause=ring.trouble)
            return into, text
        if text is None:
            raise RestoreFailed("schema", slot, "none (raw bytes)", "a buffer in into=")
    data = bytearray(h.data_len)
    if not ring.read_data(h, slot, data):
        raise RestoreFailed("data", slot, h.sequence, cause=ring.trouble)
    if older is None:
        return _decode(text, data, slot, into), text
    from .codec.migrate import migrated

    value = _decode(older, data, slot, None)
    try:
        return migrated(older, value, codec, into, migrate), text
    except EdgeError as e:
        raise RestoreFailed("schema", slot, older, "%s (%s)" % (text, e), cause=e)


def _compile(text):
    from . import codec

    return codec.compile(text)


def _decode(text, data, slot, into):
    from . import codec

    try:
        return codec.compile(text).decode(data, len(data), into)
    except EdgeError as e:
        if e.reason == "trailing":
            raise RestoreFailed("trailing", slot, e.got, cause=e)
        raise RestoreFailed("decode", slot, e, cause=e)


def _probe(lease, magic, version):
    try:
        return probe.probe(lease, magic, version)
    except CheckpointFailed as e:
        raise _unread(e)


def _unread(e):
    return RestoreFailed("read", e.where, e.got, cause=e.cause)


def _nothing(lease, h, torn, error):
    # No slot of this lease is valid: say what there is instead.
    if h is None:
        if not torn:
            raise RestoreFailed("none", None, lease.blocks, cause=error)
        failed = RestoreFailed("header", None, "a", cause=error)
        failed.torn = True
        raise failed
    if h.kind == header.PLAIN:
        raise RestoreFailed("plain", 0, h.data_len)
    if h.kind == header.DAMAGED:
        raise RestoreFailed("header", None, "a")
    if h.kind == header.OTHER_VERSION:
        raise RestoreFailed("version", 0, h.version, header.VERSION)
    if h.lease_id != lease.id_bytes:
        raise RestoreFailed("lease-id", 0, probe.hex_id(h.lease_id), probe.hex_id(lease.id_bytes))
    raise RestoreFailed(
        "geometry",
        0,
        "%d layout blocks of %d bytes" % (h.lease_blocks, h.block_size),
        "%d of %d" % (lease.blocks, lease.block_size),
    )


def _unrestorable(ring):
    # The ring has no slot to restore: say why.
    if ring.corrupt >= 0:
        raise RestoreFailed("data", ring.corrupt, ring.sequence, cause=ring.trouble)
    if ring.odd is not None:
        raise RestoreFailed("geometry", *ring.odd)
    if ring.foreign is None and ring.damaged >= 0:
        raise RestoreFailed("header", None, "slot %d's" % ring.damaged)
    _nothing(ring.lease, ring.foreign, ring.torn, ring.trouble)
