"""Host tools of edgeckpt: read, verify and restore checkpoint images over a serial line.

    from edgeckpt_host.board import Board
    from edgeckpt_host.image import load

    with Board.open("/dev/ttyACM0") as board:
        image = board.pull(board.lease())
        other = load("other.img")
        board.restore(board.lease(), other.state, other.schema)

All of it: docs/api.md. Importing this package is cheap: the modules below it are imported where
they are used.
"""

__version__ = "0.1.0"
