"""Every error of edgeckpt, each with a reason for programs and a sentence for people.

Promises: all are `EdgeError`s; `reason` is one of the keys below and never changes meaning;
the sentence names the values. Nothing here is imported from elsewhere.

`where`, `got` and `want` carry the values of the sentence; `cause` the exception of a device
or an observer that led here, if there was one.
"""

_SENTENCES = {
    # CheckpointFailed
    "state": "the state does not encode: {got}",
    "too-large": "the state takes {got} bytes, a slot holds {want}",
    "erase": "erase unit {where}: {got}; expected the erase to be done",
    "program": "layout block {where}: program: {got}; expected it to be done",
    "sync": "sync of the device: {got}; expected None, 0 or True",
    "data-verify": "slot {where}: data reads back with CRC-32 {got}, written with {want}",
    "header-verify": "slot {where}: the header does not read back as written",
    "foreign": "the lease holds other checkpoints ({got}; this stage: {want}); wipe() the lease "
    "to give them up",
    "exhausted": "sequence {got} is the last one; wipe() the lease to start again",
    "observer": "an observer raised {got}",
    "memory": "the heap had no room for the error itself",
    "busy": "a flush of this stage is running; {got} was called from within it",
    # RestoreFailed
    "none": "no checkpoint in the lease ({got} headers read)",
    "header": "no valid checkpoint; {got} header is corrupt (CRC-32 mismatch)",
    "data": "slot {where}, sequence {got}: the data is corrupt (CRC-32 mismatch); an older "
    "checkpoint is only given for fallback=True",
    "version": "slot {where}: format version {got}, expected {want}",
    "geometry": "slot {where}: {got} on the medium, {want} here",
    "lease-id": "slot {where}: lease id {got} on the medium, {want} here",
    "schema": "slot {where}: schema {got} on the medium, {want} here",
    "schema-missing": "slot {where}: the schema (CRC-32 {got}) is not in the header; pass schema=",
    "decode": "slot {where}: the state does not decode: {got}",
    "trailing": "slot {where}: {got} bytes after the state, expected none",
    "plain": "a plain image without integrity data ({got} bytes of state); pass plain=True to "
    "read it",
    # both
    "read": "layout block {where}: read: {got}; expected it to be done",
    # LeaseError
    "ended": "this {got} has ended: its lease was given away",
    "bounds": "{where}: {got} is out of bounds, expected {want}",
    "overlap": "device blocks {got} overlap the live lease {want}",
    "device": "{where}: the device answered {got}, expected {want}",
    # SchemaError, EncodeError, DecodeError
    "schema-text": "schema text, {where}: found {got}, expected {want}",
    "value": "{where}: got {got}, expected {want}",
    "bytes": "byte {offset}, {where}: {got}",
    # any
    "argument": "{where}: got {got}, expected {want}",
}


class EdgeError(Exception):
    """Base of all errors. `reason`: a key of the table above; `where`, `got`, `want`: values."""

    def __init__(self, reason, where=None, got=None, want=None, cause=None, offset=None):
        self.reason = reason
        self.offset = offset
        self.where = where
        self.got = got
        self.want = want
        self.cause = cause
        text = _SENTENCES.get(reason, "{got}").format(
            where=where, got=got, want=want, offset=offset
        )
        super().__init__(text)


class CheckpointFailed(EdgeError):
    """The checkpoint was not made; the one before it is still there and restores."""


class RestoreFailed(EdgeError):
    """Nothing was restored, and nothing on the medium was changed.

    torn: True where the only trace of a checkpoint is a header that a power cut explains: the
        first checkpoint of the lease was cut before it was committed.
    """

    torn = False


class LeaseError(EdgeError):
    """A lease was asked for, or used, in a way that its contract does not allow."""


class SchemaError(EdgeError):
    """A schema text that does not parse, or that does not fit the state."""


class EncodeError(EdgeError):
    """A state that its schema cannot express. `where`: path of the field."""


class DecodeError(EdgeError):
    """Bytes that the schema does not read. `where`: path of the field; `offset` in bytes."""


class Catch:
    """`with catch:` keeps what is raised inside in `error`, unless one is kept already; what is
    no Exception (Ctrl-C, a reset) takes the place of an Exception.

    An `except ... as` needs a frame of more than 11 words, which MicroPython allocates.
    """

    def __init__(self):
        self.error = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.error is None or not isinstance(error, Exception):
            if error is not None:
                self.error = error
        return True

    def take(self):
        """The error kept, or None; forgets it."""
        error = self.error
        self.error = None
        return error
