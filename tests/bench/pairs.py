"""Two ways measured in turn, as rows of a table: medians, and their ratio with its range."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def show(table: Table, rows: Mapping[str, Sequence[tuple[float, float]]], told: str) -> None:
    """Print a table of such rows, and a line below it.

    Args:
        table: with columns for what was measured, both ways in seconds, and the ratio.
        rows: what was measured -> seconds of both ways, turn by turn.
        told: the line.
    """
    for what, pairs in rows.items():
        ratios = sorted(one / other for one, other in pairs)
        table.add_row(
            what,
            *(f"{statistics.median(way):.2f}" for way in zip(*pairs, strict=True)),
            f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]",
        )
    # a log is no terminal, and a table cut to 80 columns says nothing
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(told)
