"""A comparison for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from geovr.comparing.compare import Comparison
from geovr.evaluation.comparison import MEAN, Difference, p_text

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = ("kind", "n", "A", "B", "A - B [95 %]", "p", "p, adjusted", "verdict")
LEGEND = (
    "Differences are paired, item by item; intervals (bootstrap) and two-sided p-values (sign"
    " flips) are clustered by scene; p-values of kinds are adjusted for their number (Holm), and"
    " the verdict says where A stands by them."
)


def cells(line: Difference) -> tuple[str, ...]:
    """A line of the table; scores in percent."""
    gap = line.difference
    adjusted = "" if line.kind == MEAN else p_text(line.p_adjusted)
    return (
        "MEAN" if line.kind == MEAN else line.kind,
        str(line.items),
        f"{100 * line.ours:.1f}",
        f"{100 * line.theirs:.1f}",
        f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]",
        p_text(line.p),
        adjusted,
        line.verdict,
    )


def render(comparison: Comparison) -> Table:
    """The table for a terminal."""
    from rich.table import Table

    table = Table(
        title=f"A: {comparison.a}\nB: {comparison.b}",
        caption=f"{LEGEND} Scored by {comparison.scoring}, in percent; {comparison.scenes} scenes.",
    )
    for heading in HEADINGS:
        justify: Literal["left", "right"] = "left" if heading in ("kind", "verdict") else "right"
        table.add_column(heading, justify=justify, no_wrap=heading != "kind")
    for number, line in enumerate(comparison.lines):
        first = number == 0
        table.add_row(*cells(line), style="bold" if first else None, end_section=first)
    return table
