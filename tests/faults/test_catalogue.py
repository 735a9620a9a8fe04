"""The catalogue is whole, and the table says no more than what the tests said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import table
from tests.faults.catalogue import FAULTS
from tests.faults.report import FaultsReport, numbers


def test_the_catalogue_has_each_number_once() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 56))
    assert all(fault.fault and fault.promise for fault in FAULTS)
    assert len({fault.fault for fault in FAULTS}) == 55


def test_each_fault_has_a_test() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    marks = re.findall(r"pytest\.mark\.fault\(([\d, ]+)\)", texts)
    marked = {int(number) for mark in marks for number in mark.split(",")}
    assert marked == {fault.number for fault in FAULTS}


class Item(SimpleNamespace):
    """What pytest hands to the plugin."""

    def iter_markers(self, name: str) -> list[Any]:
        return [SimpleNamespace(args=args) for args in self.marks]


def item(nodeid: str, *marks: tuple[Any, ...]) -> Any:
    return Item(nodeid=nodeid, marks=marks)


def test_a_mark_of_no_fault_is_refused() -> None:
    assert numbers(item("t", (2, 1), (2,))) == [1, 2]
    for wrong in ((56,), (0,), ("1",), ()):
        with pytest.raises(pytest.UsageError, match="t: the mark fault takes numbers"):
            numbers(item("t", (1,), wrong))


def report(path: Path, outcomes: dict[str, tuple[tuple[int, ...], list[str]]]) -> dict[str, Any]:
    """What the plugin writes about tests: their faults, and the outcomes of their phases."""
    plugin = FaultsReport(path)
    plugin.pytest_collection_modifyitems([item(name, its) for name, (its, _) in outcomes.items()])
    for name, (_, phases) in outcomes.items():
        for phase in phases:
            told: Any = SimpleNamespace(nodeid=name, outcome=phase, duration=1.0)
            plugin.pytest_runtest_logreport(told)
    plugin.pytest_sessionfinish()
    written: dict[str, Any] = json.loads(path.read_text())
    return written


def test_the_worst_outcome_counts_and_what_did_not_run_proves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    good = ["passed", "passed", "passed"]
    written = report(
        path,
        {
            "a": ((1, 2), good),
            "b": ((2,), ["passed", "failed", "passed"]),
            "c": ((3,), ["passed", "passed", "failed"]),
            "d": ((4,), ["skipped", "passed"]),
            "e": ((5,), []),
            "g": ((6,), good),
            "h": ((6,), []),
        },
    )
    assert written["1"] == {"a": {"outcome": "passed", "seconds": 3.0}}
    rows = {fault.number: table.row(fault, written[str(fault.number)]) for fault in FAULTS}
    states = {number: rows[number].state for number in range(1, 8)}
    assert states == {
        1: "proven", 2: "failed", 3: "failed", 4: "open", 5: "open", 6: "proven", 7: "open",
    }  # fmt: skip
    assert rows[2].outcome == "failed 1 of 2" and rows[6].outcome == "passed 1 of 2"
    assert rows[4].outcome == "skipped" and rows[5].outcome == "not run"
    assert table.main(path) == 1
    out = capsys.readouterr().out
    last = out.strip().splitlines()[-1]
    assert last.startswith("proven 2 of 55, open 51 (4, 5, 7, 8,")
    assert last.endswith(" 54, 55), failed 2 (2, 3)")

    report(path, {"a": ((1,), good)})
    assert table.main(path) == 0
