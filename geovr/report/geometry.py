"""What the heads say against ground truth: tables, histograms over clips, and the worst clips."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from geovr.evaluation.geometry.measure import DEPTH, NUMBERS, SUFFIX
from geovr.evaluation.geometry.report import FILE, GeometryReport, Mean
from geovr.report import charts
from geovr.report.gather import Run

WORST = 5
"""Clips that are named under a histogram."""
SHOWN = ("abs_rel_median", "rotation_deg", "scale_relative_error")
_TITLES = {
    "abs_rel_median": "Depth, AbsRel after scaling by the medians",
    "rotation_deg": "Rotation error, mean of all pairs of frames",
    "scale_relative_error": "Scale error, |s / s* − 1|",
}
ALIGNED = {
    "none": "in metres, by its own scale",
    "median": "scaled by medians",
    "least_squares": "scaled by least squares",
}


@dataclass(frozen=True)
class Row:
    """One line of a table; a mean is None where nothing was measured."""

    label: str
    means: tuple[Mean | None, ...]


@dataclass(frozen=True)
class Spread:
    """One histogram and the clips at its bad end, with their numbers."""

    title: str
    drawing: Markup
    worst: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class GeometryPanel:
    """All that is shown; `missing` says why there is nothing."""

    missing: str | None = None
    report: GeometryReport | None = None
    depth: tuple[Row, ...] = ()
    others: tuple[Row, ...] = ()
    spreads: tuple[Spread, ...] = ()


def make_geometry(run: Run) -> GeometryPanel:
    """The panel of a run's evaluation."""
    if run.evaluation is None:
        return GeometryPanel(run.parts["evaluate"].missing or "it was not evaluated")
    path = run.evaluation.directory / FILE
    if not path.is_file():
        return GeometryPanel(
            "the evaluation was given no ground truth (evaluate.geometry.ground_truth)"
        )
    report = GeometryReport.model_validate_json(path.read_bytes())
    if report.silent is not None:
        return GeometryPanel(report.silent)
    depth = [
        Row(_named(label, unit), tuple(report.means.get(f"{name}{s}") for s in SUFFIX.values()))
        for name, label, unit, _ in DEPTH
    ]
    others = [
        Row(_named(number.label, number.unit), (report.means[name],))
        for name, number in NUMBERS.items()
        if number.part != "depth" and name in report.means
    ]
    return GeometryPanel(
        report=report,
        depth=tuple(row for row in depth if any(row.means)),
        others=tuple(others),
        spreads=tuple(_spread(report, name) for name in SHOWN if name in report.means),
    )


def _named(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


def _spread(report: GeometryReport, name: str) -> Spread:
    mean, unit = report.means[name], NUMBERS[name].unit
    words = (
        f"{_TITLES[name]}, of {mean.clips} clips: mean {brief(mean.value.mean)},"
        f" interval {brief(mean.value.low)} to {brief(mean.value.high)}"
    )
    return Spread(
        _TITLES[name],
        charts.histogram(report.values(name), mean.value, mean.constant, unit, words),
        tuple((clip.clip_id, value) for clip, value in report.worst(name, WORST)),
    )


def brief(value: float) -> str:
    """A number in about three digits, never as a power of ten."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.{2 if abs(value) >= 1 else 3}f}"
