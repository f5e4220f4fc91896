"""`CheckpointedStageState`: a state, the lease it is kept in, and who is told of a flush.

Promises: `checkpoint()` either returns, and then the state is durable and has been read back,
or raises, and then the checkpoint before it still restores. It allocates nothing up to the
raise. The observer's completion comes exactly once per flush, whatever happens.

    state --codec--> RAM --> Commit --SlotRing: which slot--> BlockLease --> device
"""

from . import header
from .commit import Commit
from .errors import Catch, CheckpointFailed, LeaseError, RestoreFailed, SchemaError
from .geometry import blocks_for
from .lease import BlockLease, id_bytes
from .observe import CheckpointFlushObserver
from .port import flag_of, turn
from .restore import as_buffer, attach, read_state, restore
from .ring import SlotRing

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
        ring = self._ring_for(lease, capacity, magic, version)
        attach(ring)
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
        found = None
        while True:
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
                if not e.torn and (e.cause or e.reason != "none"):
                    raise
            # A fresh start only where a second look finds nothing, or nothing that lasts.
            found = not found and _second_look(lease, **options)
            if not found:
                break
        if moved_from is not None:
            there = cls.resume(
                state, moved_from, schema, into=into, fallback=fallback, migrate=migrate
            )
            state = there.state
            there.into_block_lease().release()
        self = object.__new__(cls)
        self._begin(state, lease, schema, **options)
        return self

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
        ring, state, text, fell_back = restore(
            lease, schema, into, fallback, plain, migrate, capacity, magic, version
        )
        self = object.__new__(cls)
        self.fell_back = fell_back
        self._adopt(state, text)
        self._own(ring, observer)
        return self

    def _begin(
        self,
        state,
        lease,
        schema,
        capacity=None,
        observer=None,
        magic=header.MAGIC,
        version=header.VERSION,
    ):
        # On a lease that holds nothing.
        self._adopt(state, schema)
        self._own(self._ring_for(lease, capacity, magic, version), observer)

    def _ring_for(self, lease, capacity, magic, version):
        if capacity is None:
            capacity = self._largest
        if capacity is None:
            capacity = max(_DEFAULT_SLOT - lease.block_size, lease.block_size)
        return SlotRing(lease, blocks_for(max(capacity, 1), lease.block_size), magic, version)

    def _adopt(self, state, schema):
        # Sets state, codec (None for buffers), text, crc of the schema, _largest encoding.
        self._state = state
        self._codec = None
        self._pieces = None
        self._text = b""
        self._crc = bytearray(4)
        raw = as_buffer(state)
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

    def _own(self, ring, observer):
        # The last statement makes the lease the wrapper's: what interrupts before leaves it to
        # the caller.
        given = ring.lease
        ring.found = None  # its RAM
        ring.lease = given.copy()
        ring.lease.ring = ring
        ring.schema = self._text  # for the host, where the text does not fit the header
        self._ring = ring
        self._lease_id = ring.lease.lease_id
        self._observer = CheckpointFlushObserver() if observer is None else observer
        self._commit = Commit(ring)
        self._commit.header.set_schema(self._text, self._crc)
        self._caught = Catch()
        self._observing = self._due = False
        self._gate = {0: None}  # who flushes; the place in the dict is made here
        self._gate.pop(0)
        # Raised where the heap has no room for a fresh error (its reason is then filled in).
        self._reserve = CheckpointFailed("memory")
        if self._raw is not None:
            self._pieces, self._tail = _cut(self._raw, ring.lease)
        else:
            n = ring.capacity
            self._encoded = bytearray(n if self._largest is None else min(self._largest, n))
        given.give(ring.lease)

    _raw = None
    _largest = None
    fell_back = False

    # Reading back

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
                return read_state(ring, h, slot, None, into)[0]
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
            raw = as_buffer(state)
            if raw is None or len(raw) != len(self._raw):
                raise SchemaError(
                    "argument", "state", repr(state)[:40], "a buffer of %d bytes" % len(self._raw)
                )
            self._raw = raw
            self._pieces, self._tail = _cut(raw, self._live().lease)
        self._state = state

    # Writing; allocation-free

    def checkpoint(self):
        """Make the state durable. Raises CheckpointFailed, and then the one before restores."""
        self._flush(turn(0))

    def prepare(self):
        """Erase ahead, so that the next `checkpoint()` only programs pages."""
        self._flush(turn(1))

    def into_block_lease(self):
        """Give the lease away and end this wrapper. Returns a new `BlockLease` handle."""
        me = turn(0)
        try:
            ring = self._claim(me, "into_block_lease()")
            lease = ring.lease.copy()
            self._ring = None
            ring.lease.give(lease)
            return lease
        finally:
            self._release(me)

    def _live(self):
        if self._ring is None:
            raise LeaseError("ended", None, "stage")
        return self._ring

    def _idle(self, what):
        # The buffers and the ring are those of the flush while one runs.
        if self._gate:
            raise CheckpointFailed("busy", None, what)
        return self._live()

    def _claim(self, me, what):
        # In one operation of the interpreter: a handler, a second core, a Ctrl-C may come between
        # any two, and what was claimed must be known to be `me`'s.
        if self._gate.setdefault(0, me) is not me:
            raise CheckpointFailed("busy", None, what)
        return self._live()

    def _release(self, me):
        if self._gate.get(0) is me:
            self._complete()
            self._gate.pop(0)

    # What a flush prepares or writes is told by its turn: nothing that another call could change.

    def _flush(self, me):
        try:
            self._guarded(me)
        finally:
            self._release(me)

    def _guarded(self, me):
        try:
            self._run(me)
        finally:
            self._release(me)  # and once more by the caller: a Ctrl-C may come in here

    def _run(self, me):
        self._claim(me, "prepare()" if flag_of(me) else "checkpoint()")
        self._caught.forget()
        self._ring.lease.doing = None
        with self._caught:
            self._observing = True
            self._due = True
            self._observer.on_flush_start(self._lease_id)
            self._observing = False
            self._work(flag_of(me))
            self._observing = True
        self._complete()
        if self._caught.error is not None:
            self._fail(self._caught.take())

    def _complete(self):
        if self._due:
            self._due = False
            with self._caught:
                self._observer.on_flush_complete(self._lease_id)

    def _work(self, preparing):
        commit = self._commit
        if preparing:
            commit.check(0)
            done = commit.prepare()
        elif self._pieces is not None:
            commit.check(len(self._raw))
            done = commit.run(self._pieces, self._tail, len(self._tail))
        else:
            # Once, into RAM: nothing is erased for a state that does not encode or does not fit.
            done = self._codec.encode(self._state, self._encoded)
            commit.check(done)
            done = commit.run((), self._encoded, done)
        if not done:
            raise commit.failed()

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


def _second_look(lease, magic=header.MAGIC, version=header.VERSION, **options):
    # Before a fresh start: whether a header of anybody is seen now.
    from .look import first

    try:
        found = first(lease, magic, version, 64, 0)
    except CheckpointFailed:
        return True
    return found.blocks > 0 or found.other is not None


def _cut(raw, lease):
    # Views of `raw` that are written as they are: whole layout blocks, on flash never across an
    # erase unit (the first block of a slot is its header); and the rest, 0 to a block long.
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
    return pieces, raw[whole:]
