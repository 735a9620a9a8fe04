"""A probe as tables: one for each target, layers down, models across."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geovr.probing.results import ModelProbe, Probe, Reading, Span
from geovr.probing.targets import TARGETS

if TYPE_CHECKING:
    from rich.table import Table

LEGEND = (
    "R² out of fold (no scene is both fitted and scored) with its 95 % interval over scenes, and"
    " the median error. Ridge regression on frozen states of the visual tokens; the constant is the"
    " mean of the other folds. Layer 0 is what the language model takes in."
)


@dataclass(frozen=True)
class Block:
    """One target's table, as text."""

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def blocks(probe: Probe) -> list[Block]:
    """The tables of all targets that were measured."""
    first = probe.models[0].name
    names = list(dict.fromkeys(layer.name for model in probe.models for layer in model.layers))
    # the final norm is the last line, however many layers the models have
    names = sorted((n for n in names if n.isdigit()), key=int) + [
        n for n in names if not n.isdigit()
    ]
    found = []
    for target in TARGETS:
        if not any(target in model.constant for model in probe.models):
            continue
        headings = ["layer"]
        for model in probe.models:
            compared = any(_more(model, name, target) for name in names)
            headings += [model.name, *([f"{model.name} - {first}"] if compared else [])]
        rows = []
        for name in names:
            rows.append([name])
            for model in probe.models:
                rows[-1].append(_cell(_reading(model, name, target), target))
                if f"{model.name} - {first}" in headings:
                    rows[-1].append(_signed(_more(model, name, target)))
        rows.append(["constant"])
        for model in probe.models:
            rows[-1].append(_cell(model.constant.get(target), target, interval=False))
            if f"{model.name} - {first}" in headings:
                rows[-1].append("")
        title = f"{target}: {TARGETS[target].title}"
        found.append(Block(target, title, tuple(headings), tuple(map(tuple, rows))))
    return found


def _reading(model: ModelProbe, layer: str, target: str) -> Reading | None:
    return next((one.targets.get(target) for one in model.layers if one.name == layer), None)


def _more(model: ModelProbe, layer: str, target: str) -> Span | None:
    reading = _reading(model, layer, target)
    return reading.more if reading is not None else None


def _cell(reading: Reading | None, target: str, *, interval: bool = True) -> str:
    if reading is None:
        return ""
    span = reading.r2
    if math.isnan(span.value):
        return f"undefined, {error_text(reading.error, target)}"
    between = f" [{span.low:.3f}, {span.high:.3f}]" if interval else ""
    return f"{span.value:.3f}{between}, {error_text(reading.error, target)}"


def error_text(error: float, target: str) -> str:
    """An error in its unit."""
    unit = TARGETS[target].unit
    if unit == "%":
        return f"{100 * error:.1f} %"
    return f"{error:.3f} m" if unit == "m" else f"{error:.2f}°"


def _signed(span: Span | None) -> str:
    if span is None or math.isnan(span.value):
        return ""
    return f"{span.value:+.3f} [{span.low:+.3f}, {span.high:+.3f}]"


def scope(probe: Probe) -> str:
    """What was probed on what, in a line."""
    config = probe.config
    aside = "".join(f", {count} left out: {why}" for why, count in probe.left_out.items())
    return (
        f"{probe.clips} clips of {probe.scenes} scenes, split {config.split}{aside};"
        f" {config.folds} folds over scenes, seed {config.seed}"
    )


def render(block: Block) -> Table:
    """A table for a terminal."""
    from rich.table import Table

    table = Table(title=block.title, title_justify="left")
    for number, heading in enumerate(block.headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for number, row in enumerate(block.rows):
        table.add_row(*row, end_section=number == len(block.rows) - 2)
    return table


def markdown(probe: Probe) -> str:
    """All tables as Markdown."""
    lines = ["# Linear probe", "", f"{scope(probe)}. {LEGEND}", ""]
    for block in blocks(probe):
        lines += [f"## {block.title[0].upper()}{block.title[1:]}", ""]
        lines.append("| " + " | ".join(block.headings) + " |")
        lines.append("|---|" + "---:|" * (len(block.headings) - 1))
        lines += ["| " + " | ".join(row) + " |" for row in block.rows]
        lines.append("")
    return "\n".join(lines)
