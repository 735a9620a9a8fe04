"""A pytest plugin: `--faults-report FILE` writes which tests of which faults passed.

The file is JSON: fault number -> test -> outcome and seconds (setup and teardown included). A test
that was collected and not run, because a tier was left out, is there as `not run`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.catalogue import BY_NUMBER

_RANKS = ("not run", "passed", "skipped", "failed")
"""A failing teardown outweighs a test that passed."""


def numbers(item: pytest.Item) -> list[int]:
    """The faults that a test carries, each once.

    Raises:
        pytest.UsageError: for a mark without a number, or with one that the catalogue lacks.
    """
    marks = list(item.iter_markers("fault"))
    found = {number for mark in marks for number in mark.args}
    unknown = sorted(found - BY_NUMBER.keys(), key=str)
    if unknown or not all(mark.args for mark in marks):
        raise pytest.UsageError(
            f"{item.nodeid}: the mark fault takes numbers of tests/faults/catalogue.py, not"
            f" {unknown or 'none'}"
        )
    return sorted(found)


class FaultsReport:
    """Collects outcomes by test.

    Args:
        path: of the file to write; None when only the marks are checked.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.faults: dict[str, list[int]] = {}
        self.outcomes: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the faults of all tests, before the expression of -m takes some away."""
        self.faults = {item.nodeid: found for item in items if (found := numbers(item))}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome that says most of setup, call and teardown."""
        before = self.outcomes.get(report.nodeid, "not run")
        self.outcomes[report.nodeid] = max(before, report.outcome, key=_RANKS.index)
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        if self.path is None:
            return
        found: dict[int, dict[str, dict[str, str | float]]] = {n: {} for n in BY_NUMBER}
        for test, its in self.faults.items():
            for number in its:
                found[number][test] = {
                    "outcome": self.outcomes.get(test, "not run"),
                    "seconds": round(self.seconds.get(test, 0.0), 3),
                }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(found, indent=1) + "\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.addoption("--faults-report", type=Path, help="write outcomes by fault to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Check the marks of every run, and write a report when asked."""
    config.pluginmanager.register(FaultsReport(config.getoption("--faults-report")), "faults")
