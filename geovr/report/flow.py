"""What went into each stage, what came out, what was put aside, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass

from geovr.report.gather import ORDER, Part, Run

Counted = tuple[tuple[str, int], ...]

_TAKEN: dict[str, tuple[str, ...]] = {
    "ingest": ("videos_in", "questions_in"),
    "check_clips": ("clips", "questions"),
    "extract_targets": ("clips_in",),
    "check_targets": ("clips", "targets"),
    "train": ("clips",),
    "evaluate": ("questions",),
}
_ASIDE: dict[str, tuple[str, ...]] = {
    "ingest": ("videos_quarantined", "questions_quarantined"),
    "extract_targets": ("clips_of_other_splits",),
    "train": ("clips_shortened",),
    "evaluate": ("unparsed",),
}
_NAMES = {
    "videos_in": "videos",
    "questions_in": "questions",
    "clips_in": "clips",
    "videos_quarantined": "videos quarantined",
    "questions_quarantined": "questions quarantined",
    "clips_of_other_splits": "clips of other splits",
    "clips_shortened": "clips shortened",
    "unparsed": "answers unread",
}


@dataclass(frozen=True)
class Row:
    """One stage's line.

    Attributes:
        name: of the stage.
        began: of the run that made its output, UTC.
        seconds: it took.
        again: later runs that made the same, and the seconds of the last.
        taken, made, aside: name -> number.
        notes: more about it.
        verdict: of a gate: passed or refused.
        missing: why numbers are lacking.
    """

    name: str
    began: str | None = None
    seconds: float | None = None
    again: tuple[int, float] | None = None
    taken: Counted = ()
    made: Counted = ()
    aside: Counted = ()
    notes: tuple[str, ...] = ()
    verdict: str | None = None
    missing: str | None = None


def flow_rows(run: Run) -> list[Row]:
    """A line for each stage, in the flow's order."""
    rows = []
    for stage in ORDER:
        rows.append(_row(run, run.parts[stage], stage))
        if stage == "ingest" and run.benchmark is not None:
            rows.append(_row(run, run.benchmark, "ingest of the benchmark"))
    return rows


def _row(run: Run, part: Part, name: str) -> Row:
    began = seconds = again = None
    manifest = part.artifact.manifest if part.artifact else None
    if part.kept is not None:
        made, runs = part.kept.made, part.kept.runs
        began, seconds = f"{made.began:%Y-%m-%d %H:%M}", made.seconds
        again = (len(runs) - 1, runs[-1].seconds) if len(runs) > 1 else None
        manifest = made.manifest
    if part.verdict is not None:
        found, counts = part.verdict.findings, part.verdict.counts
        held = sum(finding.success for finding in found)
        refused = not part.verdict.passed
        return Row(
            name, began, seconds, again,
            taken=tuple((n, counts[n]) for n in _TAKEN[part.stage] if n in counts),
            made=(("expectations held", held),),
            aside=(("expectations failed", len(found) - held),) if held < len(found) else (),
            verdict="refused" if refused else "passed",
        )  # fmt: skip
    if part.stage == "register":
        return _registered(run, part, Row(name, began, seconds, again))
    if manifest is None:
        return Row(name, missing=part.missing)
    counts, details = manifest.counts, manifest.details

    def chosen(names: tuple[str, ...]) -> Counted:
        return tuple((_NAMES.get(n, n), counts[n]) for n in names if n in counts)

    inside = (*_TAKEN[part.stage], *_ASIDE[part.stage])
    notes = {
        "ingest": ("decoded", "reused"),
        "extract_targets": ("teacher_calls", "reused"),
    }.get(part.stage, ())
    return Row(
        name, began, seconds, again,
        taken=chosen(_TAKEN[part.stage]),
        made=tuple((_NAMES.get(n, n), v) for n, v in counts.items() if n not in inside),
        aside=tuple((n, v) for n, v in chosen(_ASIDE[part.stage]) if v),
        notes=tuple(f"{details[n]} {n.replace('_', ' ')}" for n in notes if n in details),
        missing=part.missing,
    )  # fmt: skip


def _registered(run: Run, part: Part, row: Row) -> Row:
    told = run.decision
    if told is None:
        return Row(row.name, missing=part.missing)
    return Row(
        row.name, row.began, row.seconds, row.again,
        taken=(("checkpoint", 1),),
        made=(("version", 1),),
        notes=(f"{told['name']} version {told['version']}, promotion {told['decision']}",),
        missing=part.missing,
    )  # fmt: skip
