"""Every error of edgeckpt, each with a reason for programs and a sentence for people.

Promises: all are `EdgeError`s; `reason` is one of the keys in sentences.py and never changes
meaning; the sentence names the values.

`where`, `got` and `want` carry the values of the sentence; `cause` the exception of a device
or an observer that led here, if there was one.
"""


class EdgeError(Exception):
    """Base of all errors. `reason`: a key of sentences.py; `where`, `got`, `want`: values."""

    def __init__(self, reason, where=None, got=None, want=None, cause=None, offset=None):
        self.reason = reason
        self.offset = offset
        self.where = where
        self.got = got
        self.want = want
        self.cause = cause
        try:
            from .sentences import SENTENCES

            text = SENTENCES.get(reason, "{got}").format(
                where=where, got=got, want=want, offset=offset
            )
        except ImportError:
            text = reason  # a board that saves the room
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
    no Exception (Ctrl-C, a reset) takes the place of an Exception. Attribute `kept`, a list: of
    what is kept, [0] is set first.

    An `except ... as` needs a frame of more than 11 words, which MicroPython allocates. No jump
    in `__exit__`: there a Ctrl-C would be taken, and what was raised lost.
    """

    def __init__(self):
        self.kept = [None, None, None, None]  # the first one, nothing, the last one, nothing

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.kept[2 * (self.kept[0] is not None) + (error is None)] = error
        return True

    @property
    def error(self):
        """The error kept, or None."""
        if self.kept[2] is None or isinstance(self.kept[2], Exception):
            return self.kept[0]
        return self.kept[2]

    def take(self):
        """The error kept, or None; forgets it."""
        error = self.error
        self.forget()
        return error

    def forget(self):
        self.kept[0] = None
        self.kept[2] = None
