"""What can go wrong on the host, one exit code per cause (docs/cli.md).

Promises: every failure that a user can cause or meet is a `HostError`; its message names the
value, its hint says what to do next.
"""

from __future__ import annotations

EXIT = {
    "ok": 0,
    "internal": 1,
    "usage": 2,  # click
    "port": 3,  # the port does not exist, or cannot be opened
    "no-answer": 4,  # nothing that speaks MicroPython or the protocol answers
    "no-module": 5,  # the board has no module edgeckpt
    "lease": 6,  # no lease, or another one than asked for
    "no-checkpoint": 7,
    "file": 8,  # the file cannot be read, is no image, or is truncated
    "corrupt": 9,  # a CRC-32 does not hold
    "differs": 10,  # two things compared are not the same
    "schema": 11,  # the schema is missing, another one, or does not decode the data
    "geometry": 12,  # the image does not fit the lease or slot
    "refused": 13,  # the agent is read-only, wants a key, or another protocol version
    "medium": 14,  # the board's device or commit path failed
    "link": 15,  # the line broke or the board was reset; the command may be repeated
    "version": 16,  # another format version
    "install": 17,  # the module could not be copied to the board
    "unproved": 19,  # nothing vouches for the bytes: a plain image, or no signature that holds
    "partial": 18,  # several ports: not all of them succeeded
    "interrupted": 130,
}


class HostError(Exception):
    """cause: a key of EXIT; hint: what to do next; details: values for --json."""

    def __init__(self, cause: str, message: str, hint: str = "", **details: object) -> None:
        super().__init__(message)
        self.cause = cause
        self.hint = hint
        self.details = details

    @property
    def exit_code(self) -> int:
        return EXIT[self.cause]
