"""`python -m tests.faults.table FILE`: the table fault x outcome of a test run.

Exit code 1 when a test of a fault failed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.catalogue import FAULTS, Fault


@dataclass(frozen=True)
class Row:
    """A fault and what its tests said."""

    fault: Fault
    tests: int
    outcome: str
    seconds: float

    @property
    def state(self) -> str:
        """failed, proven, or open."""
        if self.outcome.startswith("failed"):
            return "failed"
        return "proven" if self.outcome.startswith("passed") else "open"


def row(fault: Fault, tests: dict[str, Any]) -> Row:
    """What the tests of one fault say together: skipped and not run prove nothing."""
    counts = Counter(str(test["outcome"]) for test in tests.values())
    seconds = sum(float(test["seconds"]) for test in tests.values())
    for outcome in ("failed", "passed", "skipped", "not run"):
        if counts[outcome]:
            share = "" if counts[outcome] == len(tests) else f" {counts[outcome]} of {len(tests)}"
            return Row(fault, len(tests), outcome + share, seconds)
    return Row(fault, 0, "open", seconds)


def summary(rows: Iterable[Row]) -> str:
    """The end line."""
    by_state: dict[str, list[str]] = {}
    for one in rows:
        by_state.setdefault(one.state, []).append(str(one.fault.number))
    told = f"proven {len(by_state.get('proven', []))} of {len(FAULTS)}"
    for state in ("open", "failed"):
        if state in by_state:
            told += f", {state} {len(by_state[state])} ({', '.join(by_state[state])})"
    return told


def main(path: Path) -> int:
    """Print the table of a report."""
    report = json.loads(path.read_text())
    rows = [row(fault, report[str(fault.number)]) for fault in FAULTS]
    table = Table()
    for name in ("", "fault", "promise", "tests", "outcome", "s"):
        table.add_column(name, justify="right" if name in ("", "tests", "s") else "left")
    group = ""
    for one in rows:
        if one.fault.group != group:
            group = one.fault.group
            table.add_section()
        table.add_row(
            str(one.fault.number), one.fault.fault, one.fault.promise, str(one.tests), one.outcome,
            f"{one.seconds:.1f}",
        )  # fmt: skip
    console = Console()
    # a file or a log has no width of its own
    console = console if console.is_terminal else Console(width=180)
    console.print(table)
    console.print(summary(rows), highlight=False, soft_wrap=True)
    return int(any(one.state == "failed" for one in rows))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
