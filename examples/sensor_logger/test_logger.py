from pathlib import Path


def test_readings_survive_a_restart(board):
    board.put(Path(__file__).with_name("logger.py"))
    board.run("import logger; logger.log(21); logger.log(-4)")
    board.power_cycle()
    board.run("import logger; logger.log(7)")
    assert board.checkpoint_state() == {"count": 3, "last": 7, "window": [21, -4, 7, 0]}


def test_no_power_cut_loses_a_reading(board):
    board.put(Path(__file__).with_name("logger.py"))
    board.run("import logger; logger.log(1)")
    kept, at = 1, 0  # the power fails in the first flash operation of log(), the second, ...
    while board.cut_power_during("import logger; logger.log(2)", at=at, seed=at):
        count = board.checkpoint_state()["count"]
        assert count in (kept, kept + 1)
        kept, at = count, at + 1
    assert at >= 2
