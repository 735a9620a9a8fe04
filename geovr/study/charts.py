"""Charts of a study: learning curves, and differences by kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from geovr.evaluation.comparison import MEAN
from geovr.evaluation.statistics import Interval
from geovr.report.charts import Frame, ticks
from geovr.study.curves import ArmCurve
from geovr.study.paint import Drawing, arm_classes
from geovr.study.summary import Summary
from geovr.study.table import interval_text, kind_text, label_of

PANEL = (360, 196)
"""Size of a panel of curves."""


def panel(term: str, curves: Sequence[ArmCurve], classes: dict[str, str]) -> Drawing:
    """One term of all arms that have it: the mean over seeds, and a band of one sd either way.

    What a first tenth of the steps has above all that follows is cut off: it would leave no room.
    """
    last = max(float(curve.step_N[-1]) for curve in curves)
    values = [
        np.concatenate([_band(curve)[0], _band(curve)[1]])[np.tile(curve.step_N >= last / 10, 2)]
        for curve in curves
    ]
    seen = np.concatenate(values)
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.5
    low, high = low - room, high + room
    first = min(float(curve.step_N[0]) for curve in curves)
    frame = Frame(42, 8, 308, 148, (first, max(last, first + 1)), (low, high))
    parts = [frame.axes(ticks(*frame.x, 5), ticks(low, high, 5), "step")]
    for curve in curves:
        name = classes[curve.arm]
        if curve.sd_N is not None:
            lower_N, upper_N = _band(curve)
            places = [
                f"{frame.at_x(x):.1f},{frame.at_y(min(max(y, low), high)):.1f}"
                for side, step_N in (
                    (upper_N, curve.step_N), (lower_N[::-1], curve.step_N[::-1])
                )
                for x, y in zip(step_N, side, strict=True)
                if np.isfinite(y)
            ]  # fmt: skip
            parts.append(
                Markup('<polygon class="band {}" points="{}"/>').format(name, " ".join(places))
            )
        inside_N = np.where(curve.mean_N <= high, curve.mean_N, np.nan)
        parts.append(frame.line(curve.step_N, inside_N, f"curve {name}"))
    ends = ", ".join(f"{curve.arm} {curve.mean_N[-1]:.3g}" for curve in curves)
    label = f"{term} loss over {last + 1:.0f} steps; at the end: {ends}"
    return Drawing(Markup("").join(parts), *PANEL, label)


def _band(curve: ArmCurve) -> tuple[np.ndarray, np.ndarray]:
    sd_N = np.zeros_like(curve.mean_N) if curve.sd_N is None else curve.sd_N
    return curve.mean_N - sd_N, curve.mean_N + sd_N


def curves_drawing(terms: dict[str, list[ArmCurve]], summary: Summary) -> Drawing | None:
    """All panels and the arms' names, two panels a row; None without curves."""
    if not terms:
        return None
    classes = arm_classes(summary)
    columns = min(2, len(terms))
    width = 12 + columns * (PANEL[0] + 8)
    names = {curve.arm for curves in terms.values() for curve in curves}
    legend, top = _legend(summary, names, width)
    parts = [legend]
    for place, (term, curves) in enumerate(terms.items()):
        down, across = divmod(place, columns)
        x, y = 8 + across * (PANEL[0] + 8), top + down * (PANEL[1] + 30)
        parts.append(
            Markup('<g transform="translate({} {})"><text class="title" x="42" y="10">{} loss'
                   '</text><g transform="translate(0 14)">{}</g></g>').format(
                x, y, term, panel(term, curves, classes).body)
        )  # fmt: skip
    height = top + -(-len(terms) // columns) * (PANEL[1] + 30)
    label = f"Losses of study {summary.name} over the steps: {', '.join(terms)}"
    return Drawing(Markup("").join(parts), width, height, label)


def gains_drawing(summary: Summary) -> Drawing | None:
    """Differences to the reference by kind, with intervals; None where there are none."""
    classes = arm_classes(summary)
    arms = [arm for arm in summary.arms if arm.lines[MEAN].gap is not None]
    if not arms:
        return None
    lines = [MEAN, *summary.kinds, *summary.others, *summary.controls]
    ends = [
        100 * end
        for arm in arms
        for name in lines
        if (gap := arm.lines[name].gap) is not None
        for end in (gap.interval.low, gap.interval.high, gap.interval.mean, 0.0)
        if np.isfinite(end)
    ]
    low, high = min(ends), max(ends)
    room = 0.05 * (high - low) or 1.0
    step = 15
    row, width = max(24, step * len(arms) + 9), 640
    legend, top = _legend(summary, {arm.name for arm in arms}, width)
    frame = Frame(178, top, 448, row * len(lines), (low - room, high + room), (0, 1))
    bottom = frame.top + frame.height
    parts = [
        legend,
        frame.axes(ticks(*frame.x, 7), [], f"difference to {summary.reference_label}, points"),
        Markup('<path class="zero" d="M{x:.1f} {}V{}"/>').format(top, bottom, x=frame.at_x(0)),
    ]
    for place, name in enumerate(lines):
        middle = top + row * (place + 0.5)
        # a line where the kinds of the mean, of objects, and the controls begin
        if place in (1, 1 + len(summary.kinds), 1 + len(summary.kinds) + len(summary.others)):
            parts.append(
                Markup('<path class="zero" d="M8 {y:.1f}H626"/>').format(y=top + row * place)
            )
        label = kind_text(name) if place else f"mean of {summary.kinds_name}"
        parts.append(
            Markup('<text {} x="170" y="{:.1f}" text-anchor="end">{}</text>').format(
                Markup("" if place else 'class="title"'), middle + 4, label)
        )  # fmt: skip
        for number, arm in enumerate(arms):
            gap = arm.lines[name].gap
            if gap is None:
                continue
            y = middle + step * (number - (len(arms) - 1) / 2)
            parts.append(_whisker(frame, y, gap.interval, label_of(arm), classes[arm.name]))
    means = {label_of(arm): gap for arm in arms if (gap := arm.lines[MEAN].gap) is not None}
    told = "; ".join(f"{name} {interval_text(g.interval, 100.0, 1)}" for name, g in means.items())
    label = f"Differences to {summary.reference_label} by kind, in points; in the mean: {told}"
    return Drawing(Markup("").join(parts), width, round(bottom + 40), label)


def _whisker(frame: Frame, y: float, found: Interval, label: str, name: str) -> Markup:
    colour = name.split()[0]
    body = Markup("<g><title>{}: {}</title>").format(label, interval_text(found, 100.0, 1))
    if np.isfinite(found.low) and np.isfinite(found.high):
        body += Markup(
            '<path class="whisk {}" d="M{a:.1f} {y:.1f}H{b:.1f}'
            'M{a:.1f} {t:.1f}v8M{b:.1f} {t:.1f}v8"/>'
        ).format(name, a=frame.at_x(100 * found.low), b=frame.at_x(100 * found.high), y=y, t=y - 4)
    return body + Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="4"/></g>').format(
        colour, frame.at_x(100 * found.mean), y
    )


def _legend(summary: Summary, names: set[str], width: int) -> tuple[Markup, int]:
    """Arms by colour, as many a line as fit, and where they end."""
    classes = arm_classes(summary)
    parts, x, y = [], 16, 18
    for arm in summary.arms:
        if arm.name not in names:
            continue
        label = label_of(arm)
        wide = 44 + round(6.6 * len(label))
        if x + wide > width and x > 16:
            x, y = 16, y + 18
        parts.append(
            Markup('<path class="curve {}" d="M{} {y}h22"/><text x="{}" y="{}">{}</text>').format(
                classes[arm.name], x, x + 28, y + 4, label, y=y)
        )  # fmt: skip
        x += wide
    return Markup("").join(parts), y + 22
