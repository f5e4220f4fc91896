"""How a checkpoint comes back: what is on the medium, which one is the newest, its state.

Promises: nothing is written; whatever is found and cannot be restored is a RestoreFailed, never
a fresh start; what could be newer than what is given is told.
"""

from . import header
from .errors import CheckpointFailed, EdgeError, LeaseError, RestoreFailed
from .geometry import blocks_for
from .port import byte_view
from .ring import SlotRing
from .scan import read

_LOOKS = 3  # at a newest one that was intact, and is not when it is read again


def as_buffer(x):
    """A byte-wise view of `x`, or None if it is no buffer."""
    try:
        return byte_view(x) if not isinstance(x, (str, int)) else None
    except TypeError:
        return None


def find(lease, magic, version):
    """(layout blocks of a slot, None) where block 0 tells, else (blocks or 0, a `look.First`)."""
    block = bytearray(lease.block_size)
    if read(lease, 0, block):
        h = header.parse(block, magic, version)
        if h is not None and h.kind == header.VALID and not h.slot_index and h.slot_blocks >= 2:
            if h.lease_id == lease.id_bytes and h.lease_blocks == lease.blocks:
                if h.block_size == lease.block_size:
                    return h.slot_blocks, None
    from .look import first

    found = first(lease, magic, version)
    return found.blocks, found


def attach(ring):
    """Have the new `ring` know what is on its lease. CheckpointFailed `read`."""
    blocks, found = find(ring.lease, ring.magic, ring.version)
    if blocks == ring.slot_blocks:
        ring.scan()
    elif blocks:
        ring.refused = ("odd", 0, "slots of %d layout blocks" % blocks, "%d" % ring.slot_blocks)
    elif found.other is not None:
        ring.refused = ("foreign", 0, found.other, None)
    elif found.found() and not found.is_cut(ring.lease):
        ring.refused = ("odd", 0, "headers that cannot be read, or are corrupt", "sound ones")


def restore(lease, schema, into, fallback, plain, migrate, capacity, magic, version):
    """(ring, state, schema text or None, fell_back): see `CheckpointedStageState.restore`."""
    try:
        blocks, found = find(lease, magic, version)
        if not blocks:
            other = found.other
            if plain and other is not None and other.kind == header.PLAIN:
                return _plain(lease, other, schema, into, capacity, magic, version)
            from .look import nothing

            nothing(lease, found)
        if capacity is not None and blocks != blocks_for(capacity, lease.block_size):
            wanted = blocks_for(capacity, lease.block_size)
            raise RestoreFailed("geometry", 0, "slots of %d layout blocks" % blocks, wanted)
        ring = SlotRing(lease, blocks, magic, version)
        state, text, fell_back = _newest(ring, fallback, schema, into, migrate)
    except LeaseError as e:
        raise RestoreFailed("geometry", 0, e.where, e.want, cause=e)
    except CheckpointFailed as e:
        raise RestoreFailed("read", e.where, e.got, cause=e.cause)
    return ring, state, text, fell_back


def _newest(ring, fallback, schema, into, migrate):
    # What was intact and is not when it is read again was left by a cut, and the search may find
    # it so.
    looks = _LOOKS
    while True:
        ring.scan()
        worst = ring.findings[0][0] if ring.findings else ""
        doubtful = worst == "odd" or worst == "data"
        if ring.newest < 0 or doubtful and not fallback:
            from .look import unrestorable

            unrestorable(ring)
        looks -= 1
        try:
            state, text = read_state(ring, ring.found, ring.newest, schema, into, migrate)
        except RestoreFailed as e:
            if e.reason != "data" or not looks:
                raise
            continue
        newer = [f for f in ring.findings if f[0] in ("read", "damaged") and f[2]]
        return state, text, doubtful or len(newer) > 0


def read_state(ring, h, slot, schema, into, migrate=False):
    """The state in `slot`, whose header is `h`, and its schema text (None for raw bytes)."""
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
        raw = None if into is None else as_buffer(into)
        if raw is not None and (text is None or text == "[u8;%d]" % len(raw)):
            if len(raw) != h.data_len:
                raise RestoreFailed("geometry", slot, "%d bytes" % h.data_len, "%d" % len(raw))
            if not ring.read_data(h, slot, raw):
                raise RestoreFailed("data", slot, h.sequence, cause=ring.cause)
            return into, text
        if text is None:
            raise RestoreFailed("schema", slot, "none (raw bytes)", "a buffer in into=")
    data = bytearray(h.data_len)
    if not ring.read_data(h, slot, data):
        raise RestoreFailed("data", slot, h.sequence, cause=ring.cause)
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


def _plain(lease, h, schema, into, capacity, magic, version):
    # A plain image of any Durable-style writer: blocks 1..N behind the header in block 0.
    size = lease.block_size
    blocks = blocks_for(h.data_len, size)
    if blocks > lease.blocks:
        raise RestoreFailed("geometry", 0, "%d bytes" % h.data_len, "%d blocks" % lease.blocks)
    data = bytearray(blocks * size - size)
    view = memoryview(data)
    for i in range(blocks - 1):
        if not read(lease, 1 + i, view[i * size : (i + 1) * size]):
            raise RestoreFailed("read", 1 + i, repr(lease.cause), cause=lease.cause)
    state = data[: h.data_len]
    if schema is not None:
        state = _decode(schema, state, 0, into)
    if capacity is not None:
        blocks = max(blocks, blocks_for(capacity, size))
    ring = SlotRing(lease, blocks, magic, version)
    ring.protect(0)
    return ring, state, schema, False
