"""A study's tables: one shape for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geovr.evaluation.comparison import MEAN
from geovr.evaluation.report import BINNED_NOTE
from geovr.evaluation.statistics import Interval
from geovr.study.summary import VIEWS, ArmSummary, Gap, Summary, Value

if TYPE_CHECKING:
    from rich.table import Table

Cell = tuple[str, ...]
"""Lines of a cell."""
_DECODINGS = {
    "expected_score": BINNED_NOTE,
    "greedy": "Numbers were written digit by digit, the likeliest token each time (greedy).",
}

_ABOUT_NLL = (
    "Answer NLL: negative log-likelihood of the right answer in nats, lower is better; it does not"
    " depend on how numbers are decoded."
)
_ABOUT_BASELINES = (
    "Best constant: for each kind the answer that scores best on the training questions. Video"
    " blanked, frames shuffled: the arm's own model, shown that."
)


@dataclass(frozen=True)
class Row:
    """An arm, or a baseline.

    Attributes:
        label: its name.
        cells: one for each further heading.
        tone: that of its difference: above, below, or none that can be told.
        baseline: whether it is a constant, or an arm that didn't see its video.
    """

    label: str
    cells: tuple[Cell, ...]
    tone: str = ""
    baseline: bool = False


@dataclass(frozen=True)
class Grid:
    """A table. Numbers are in percent where nothing else is said."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]


def grids(summary: Summary) -> list[Grid]:
    """The main table, then one each for the kinds of the mean, of objects, and the controls."""
    found = [_main(summary)]
    groups = (
        (summary.kinds_name.capitalize(), summary.kinds),
        ("Other kinds, which refer to objects", summary.others),
        ("Controls, which need no geometry", summary.controls),
    )
    return found + [_by_kind(summary, title, kinds) for title, kinds in groups if kinds]


def _main(summary: Summary) -> Grid:
    headings = (
        "arm",
        "seeds",
        f"mean of {len(summary.kinds)} {summary.kinds_name}",
        "difference [95 %]",
        "answer NLL",
        "difference [95 %]",
        "train, s",
    )
    rows = []
    for arm in summary.arms:
        line = arm.lines[MEAN]
        cells = (
            (f"{len(arm.seeds)} of {len(summary.seeds)}",),
            (score_text(line.score),),
            (gap_text(line.gap),),
            (nll_text(line.nll),),
            (gap_text(line.nll_gap, nll=True),),
            (f"{arm.train_seconds.mean:,.0f}" if arm.train_seconds else "",),
        )
        rows.append(Row(label_of(arm), cells, line.gap.interval.verdict if line.gap else ""))
    for label, values in _baselines(summary, (MEAN,)):
        rows.append(Row(label, (("",), values[0], *[("",)] * 4), baseline=True))
    return Grid(f"Study {summary.name}", headings, tuple(rows))


def _by_kind(summary: Summary, title: str, kinds: Sequence[str]) -> Grid:
    rows = []
    for arm in summary.arms:
        cells = tuple(
            (score_text(arm.lines[kind].score), gap_text(arm.lines[kind].gap)) for kind in kinds
        )
        rows.append(Row(label_of(arm), tuple(tuple(filter(None, cell)) for cell in cells)))
    for label, values in _baselines(summary, kinds):
        rows.append(Row(label, values, baseline=True))
    headings = (f"{kind_text(kind)}\nn = {summary.items[kind]:,}" for kind in kinds)
    return Grid(title, ("arm", *headings), tuple(rows))


def _baselines(summary: Summary, lines: Sequence[str]) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    """The constant, then each arm without its video, where that was asked."""
    yield "best constant", tuple((f"{100 * summary.best_constant[name]:.1f}",) for name in lines)
    for view, words in VIEWS.items():
        for arm in summary.arms:
            values: list[Value | None] = [getattr(arm.lines[name], view) for name in lines]
            if any(values):
                cells = tuple(("" if v is None else score_text(v),) for v in values)
                yield f"{label_of(arm)}, {words}", cells


def label_of(arm: ArmSummary) -> str:
    """An arm's name in a table; a planted fault is never left out."""
    return f"{arm.label} (planted: {arm.plant})" if arm.plant else arm.label


def kind_text(kind: str) -> str:
    """A kind in words."""
    return kind.removesuffix("_estimation").replace("_", " ")


def score_text(value: Value) -> str:
    """A score in percent, and its standard deviation over seeds."""
    return f"{100 * value.mean:.1f}" + ("" if value.sd is None else f" ({100 * value.sd:.1f})")


def nll_text(value: Value | None) -> str:
    """A negative log-likelihood, and its standard deviation over seeds."""
    if value is None:
        return ""
    return f"{value.mean:.3f}" + ("" if value.sd is None else f" ({value.sd:.3f})")


def gap_text(gap: Gap | None, nll: bool = False) -> str:
    """A difference with its interval."""
    if gap is None:
        return ""
    return interval_text(gap.interval, 1.0 if nll else 100.0, 3 if nll else 1)


def interval_text(found: Interval, scale: float, digits: int) -> str:
    """A difference with its interval, so many digits after the point."""
    mean, low, high = (
        f"{scale * value:+.{digits}f}" for value in (found.mean, found.low, found.high)
    )
    return f"{mean} [{low}, {high}]"


def notes(summary: Summary) -> list[str]:
    """What the tables' numbers mean, and what is lacking, a sentence or two each."""
    seeds = max(len(arm.seeds) for arm in summary.arms)
    found = [
        f"Scores in percent over {summary.items[MEAN]:,} questions ({summary.kinds_name}) of"
        f" {summary.scenes:,} held-out scenes: mean relative accuracy of numbers, accuracy of"
        " choices; every kind counts the same."
        + (" In parentheses the standard deviation over seeds." if seeds > 1 else ""),
        _ABOUT_NLL,
        *(_DECODINGS.get(name, f"Decoding of numbers: {name}.") for name in summary.decodings),
        _ABOUT_BASELINES,
    ]
    gaps = [gap for arm in summary.arms if (gap := arm.lines[MEAN].gap) is not None]
    if gaps:
        found.insert(1, _about_gaps(summary, [len(gap.by_seed) for gap in gaps]))
    if summary.arm(summary.reference) is None:
        found.append(f"No differences: no run of the reference {summary.reference} is done.")
    undone = [pair for pair in summary.missing if pair not in summary.stale]
    if undone:
        found.append(f"Missing, not done: {_missing(undone)}.")
    if summary.stale:
        found.append(
            f"Left out, as made with other parameters, clips or targets: {_missing(summary.stale)}."
        )
    found.append(_about_code(summary.commits))
    return found


def _about_code(commits: Mapping[str, int]) -> str:
    if len(commits) == 1:
        return f"Commit of the code that trained: {next(iter(commits))}."
    told = ", ".join(f"{commit} ({runs} runs)" for commit, runs in sorted(commits.items()))
    return f"Runs were trained by different code, so differences may be the code's: commits {told}."


def _missing(pairs: Sequence[tuple[str, int]]) -> str:
    by_arm: dict[str, list[str]] = {}
    for arm, seed in pairs:
        by_arm.setdefault(arm, []).append(str(seed))
    return "; ".join(
        f"{arm} with seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
        for arm, seeds in by_arm.items()
    )


def _about_gaps(summary: Summary, shared: Sequence[int]) -> str:
    told = (
        f"Differences are to {summary.reference_label}, question by question and seed by seed,"
        f" with 95 % percentile intervals of {summary.resamples:,} resamples of"
    )
    if max(shared) == 1:
        return f"{told} scenes; with one seed they say nothing of what another seed would give."
    told += " scenes and seeds, crossed"
    if min(shared) < max(shared):
        told += "; arms that share fewer seeds with it are compared on those, one alone by scenes"
    return f"{told}."


def render(grid: Grid) -> Table:
    """A table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=grid.title, title_justify="left")
    for place, heading in enumerate(grid.headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    for row, after in zip(grid.rows, [*grid.rows[1:], None], strict=True):
        ends = after is not None and after.baseline and not row.baseline
        # texts, for a label may hold what rich takes for markup
        cells = [Text("\n".join(lines)) for lines in row.cells]
        table.add_row(
            Text(row.label), *cells, style="dim" if row.baseline else None, end_section=ends
        )
    return table


def markdown(summary: Summary) -> str:
    """All tables as Markdown."""
    parts = [f"{summary.about}\n"]
    for grid in grids(summary):
        rows = [list(grid.headings), ["---", *["--:"] * (len(grid.headings) - 1)]]
        rows += [[row.label, *("<br>".join(lines) for lines in row.cells)] for row in grid.rows]
        lines = ["| " + " | ".join(_escaped(cell) for cell in cells) + " |" for cells in rows]
        parts.append(f"**{grid.title}**\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts) + "\n" + "\n".join(f"- {note}" for note in notes(summary)) + "\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", "<br>")
