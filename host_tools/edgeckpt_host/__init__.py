"""Host tools of edgeckpt: read, verify and restore checkpoint images over a serial line.

    import edgeckpt_host as host

    with host.Board.open("/dev/ttyACM0") as board:
        print(host.pull(board, "state.img").image.sequence)
        host.restore(board, "other.img")

One typed function for each command, with a dataclass as its result; all of it: docs/api.md.
Importing this package is cheap: what its names stand for is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .board import Board as Board
    from .board import Lease as Lease
    from .commands import bench as bench
    from .commands import check_schema as check_schema
    from .commands import compare as compare
    from .commands import compile_schema as compile_schema
    from .commands import diff as diff
    from .commands import estimate_wear as estimate_wear
    from .commands import info as info
    from .commands import info_file as info_file
    from .commands import install_module as install_module
    from .commands import list_ports as list_ports
    from .commands import log as log
    from .commands import make as make
    from .commands import plan as plan
    from .commands import pull as pull
    from .commands import pull_lease as pull_lease
    from .commands import restore as restore
    from .commands import schema_from_rust as schema_from_rust
    from .commands import schema_to_rust as schema_to_rust
    from .commands import selftest as selftest
    from .commands import show as show
    from .commands import sign_image as sign_image
    from .commands import verify as verify
    from .commands import verify_file as verify_file
    from .errors import HostError as HostError
    from .image import Image as Image
    from .image import load as load

__version__ = "0.1.0"

_PLACES = {
    "board": ("Board", "Lease"),
    "commands": (
        *("bench", "check_schema", "compare", "compile_schema", "diff", "estimate_wear", "info"),
        *("info_file", "install_module", "list_ports", "log", "make", "plan", "pull"),
        *("pull_lease", "restore", "schema_from_rust", "schema_to_rust", "selftest", "show"),
        *("sign_image", "verify", "verify_file"),
    ),
    "errors": ("HostError",),
    "image": ("Image", "load"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f".{place}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
