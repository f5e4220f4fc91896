"""Plots of numbers in states: what is drawn is what is there."""

from __future__ import annotations

import re

from edgeckpt_host import plot


def test_numbers_of_any_state() -> None:
    state = {
        "n": 1,
        "on": True,
        "x": "NaN",
        "name": "3",
        "list": [2, {"v": -0.5}],
        "mode": {"Run": {"hz": 7}},
        "none": None,
    }
    assert plot.numbers(state) == {"n": 1, "list[0]": 2, "list[1].v": -0.5, "mode.Run.hz": 7}
    assert plot.numbers(5) == {"the state": 5}


def test_a_field_that_is_not_always_there() -> None:
    found = plot.series([{"a": 1}, {"b": 2}, {"a": 3, "b": 2}])
    assert found == {"a": [1, None, 3], "b": [None, 2, 2]}
    assert plot.changes(found["a"]) and not plot.changes(found["b"])
    assert plot.sparkline(found["a"]) == "▁ █"
    drawn = plot.svg("a", found["a"], ["one", "two", "three"])
    assert drawn.count("<circle") == 2 and "<polyline" not in drawn  # a gap is no line


def test_numbers_that_no_float_holds() -> None:
    assert plot.sparkline([0, 10**38, 5 * 10**37]) == "▁█▅"
    assert plot.sparkline([2**64 - 2, 2**64 - 1]) == "▁█"
    assert plot.sparkline([-1e308, 1e308]) == "▁█"
    assert plot.sparkline([]) == plot.sparkline([None]) == ""
    assert plot.sparkline(list(range(100)), width=8) == "▁▂▃▄▅▆▇█"


def test_names_are_escaped() -> None:
    drawn = plot.svg("<b>", [1, 2], ["<i>", "&"])
    assert "<b>" not in drawn and "<i>" not in drawn
    assert re.findall(r"<title>(.*?)</title>", drawn) == ["&lt;i&gt;: 1", "&amp;: 2"]
