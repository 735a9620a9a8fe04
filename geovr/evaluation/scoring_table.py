"""Scores side by side, one column a profile, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from geovr.evaluation.scorers import merged_kind
from geovr.evaluation.scoring import Score, Scored
from geovr.naming import named

if TYPE_CHECKING:
    from rich.table import Table

_PARTS = {"debiased": "debiased", "pruned": "pruned", "gap": "gap: full - debiased"}
_MOST_CHARACTERS = 60


def render(scored: Scored) -> Table:
    """Overall scores, then what each upstream reports beside them, in percent."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{scored.benchmark}: {_coverage(scored)} answered, scores in percent"),
        caption="In brackets the 95 % interval, by a bootstrap of scenes. ✗: the scorer's own"
        " code ends with an error; the score is what it were if the answers at which it ends"
        " counted 0.",
    )
    table.add_column("")
    table.add_column("answered", justify="right")
    for name in scored.profiles:
        table.add_column(Text(name), justify="right", no_wrap=True)
    profiles = scored.profiles.values()
    parted = any(one.parts for one in profiles)
    table.add_row(
        "overall, full" if parted else "overall",
        _coverage(scored),
        *(_cell(one.overall) for one in profiles),
        style="bold",
        end_section=not parted,
    )
    for part, label in _PARTS.items() if parted else ():
        scores = [one.parts.get(part) for one in profiles]
        items = next((str(one.items) for one in scores if one and part != "gap"), "")
        cells = ("" if one is None else _cell(one, "+" if part == "gap" else "") for one in scores)
        table.add_row(label, items, *cells, end_section=part == "gap")
    lines = dict.fromkeys(line for one in profiles for line in one.overall.lines)
    items_of = _items(scored.kinds)
    for line in lines:
        cells = (
            f"{100 * one.overall.lines[line]:.2f}" if line in one.overall.lines else ""
            for one in profiles
        )
        table.add_row(Text(line), str(items_of.get(line, "")), *cells)
    if table.rows:
        table.rows[-1].end_section = True
    table.add_row("unparsed", "", *(str(len(one.unparsed)) for one in profiles))
    return table


def footnotes(scored: Scored) -> list[str]:
    """What stands below the table: why a profile has no score, and what else matters."""
    stops = [
        f"{name}: its code ends{_times(one.overall.stopped)}: {one.overall.stops}"
        for name, one in scored.profiles.items()
        if one.overall.stops
    ]
    missing = []
    if scored.missing:
        missing = [f"not answered: {named(list(map(repr, scored.missing)), 20)}"]
    return [*stops, *missing, *scored.notes]


def _times(answers: int) -> str:
    return f" at {answers} of the answers, first" if answers else ""


def unparsed_lines(scored: Scored) -> list[str]:
    """A line for each answer in which some profile could read nothing."""
    by_id: dict[str, list[str]] = {}
    words: dict[str, str | None] = {}
    for name, one in scored.profiles.items():
        for item, text in one.unparsed.items():
            by_id.setdefault(item, []).append(name)
            words[item] = text
    return [f"{item!r}: {_shown(words[item])}  ({', '.join(by_id[item])})" for item in by_id]


def _shown(text: str | None) -> str:
    """As Python writes it: no answer may steer a terminal."""
    if text is None:
        return "no text"
    return repr(text) if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]!r}.."


def _coverage(scored: Scored) -> str:
    return f"{scored.answers}/{'?' if scored.expected is None else scored.expected}"


def _items(kinds: Mapping[str, int]) -> dict[str, int]:
    """Answers by kind, and by what kinds are merged to."""
    items = dict(kinds)
    for kind, count in kinds.items():
        if merged_kind(kind) != kind:
            items[merged_kind(kind)] = items.get(merged_kind(kind), 0) + count
    return items


def _cell(score: Score, sign: str = "") -> str:
    mark = "✗" if score.stops else ""
    if score.value is None:
        return mark
    text = f"{mark} {100 * score.value:{sign}.2f}".strip()
    if score.low is None or score.high is None:
        return text
    # a bracket would be markup
    return f"{text} \\[{100 * score.low:.1f}, {100 * score.high:.1f}]"
