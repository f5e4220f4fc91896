"""Counts that tests hand over are added up and printed at the end of the run.

A test calls `record_property("summary", json.dumps({title: {name: count}}))`.
"""

from __future__ import annotations

import json

import pytest

_tables: dict[str, dict[str, int]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call":
        return
    for key, value in report.user_properties:
        if key == "summary":
            for title, counts in json.loads(value).items():
                table = _tables.setdefault(title, {})
                for name, count in counts.items():
                    table[name] = table.get(name, 0) + count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for title, table in _tables.items():
        terminalreporter.section(title)
        for name in sorted(table):
            terminalreporter.write_line(f"{table[name]:>11,}  {name}")
        terminalreporter.write_line(f"{sum(table.values()):>11,}  in all")
