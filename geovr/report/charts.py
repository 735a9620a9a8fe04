"""Charts as SVG. Colours come from the page's style, so that they follow light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from geovr.evaluation.report import KindScore
from geovr.evaluation.statistics import Interval, Verdict
from geovr.report.curves import Curve


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers inside a range, at most so many; steps are 1, 2 or 5 times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= rough), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # the product of a whole number and the step is round only after rounding
    return [round(number * step, 12) for number in range(first, last + 1)]


def text_of(number: float) -> str:
    """A tick's text."""
    return f"{number:g}"


@dataclass(frozen=True)
class Frame:
    """Maps values to places in a drawing.

    Attributes:
        left, top, width, height: the plotted area, in the drawing's units.
        x, y: lowest and highest value.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        """Across."""
        return self.left + self.width * (value - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)

    def at_y(self, value: float) -> float:
        """Down."""
        share = (value - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return self.top + self.height * (1 - share)

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str) -> Markup:
        """Grid lines, numbers and the label below."""
        parts = []
        bottom, right = self.top + self.height, self.left + self.width
        for value in y_ticks:
            y = self.at_y(value)
            parts.append(
                Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
                       '<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>').format(
                    self.left, right, self.left - 6, y + 4, text_of(value), y=y)
            )  # fmt: skip
        for value in x_ticks:
            x = self.at_x(value)
            parts.append(
                Markup('<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
                       '<text x="{x:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
                    self.top, bottom, bottom + 15, text_of(value), x=x)
            )  # fmt: skip
        parts.append(
            Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
                self.left + self.width / 2, bottom + 30, x_label)
        )  # fmt: skip
        return Markup("").join(parts)

    def line(self, x_N: np.ndarray, y_N: np.ndarray, name: str) -> Markup:
        """A line of a class, broken where there is no number."""
        words, pen = [], "M"
        for x, y in zip(x_N, y_N, strict=True):
            if not math.isfinite(y):
                pen = "M"
                continue
            words.append(f"{pen}{self.at_x(x):.1f} {self.at_y(y):.1f}")
            pen = "L"
        return Markup('<path class="{}" d="{}"/>').format(name, "".join(words))


def _svg(width: int, height: int, label: str, body: Markup, name: str) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        name, width, height, label, body
    )


def loss_chart(curve: Curve) -> Markup:
    """One term over the steps: each step thin, the mean thick."""
    finite = curve.value_N[np.isfinite(curve.value_N)]
    if not len(finite):
        return Markup("")
    low, high = float(finite.min()), float(np.quantile(finite, 0.995))
    high = max(high, float(np.nanmax(curve.smooth_N)))
    # zero is shown where it is near: terms then compare with what they could reach
    low = 0.0 if low >= 0 and low < 0.5 * high else low - 0.05 * (high - low)
    high = high + 0.04 * (high - low) if high > low else low + 1
    frame = Frame(42, 8, 308, 148, (float(curve.step_N[0]), float(curve.step_N[-1])), (low, high))
    body = Markup("").join(
        [
            frame.axes(ticks(*frame.x, 5), ticks(low, high, 5), "step"),
            frame.line(curve.step_N, np.minimum(curve.value_N, high), "raw"),
            frame.line(curve.step_N, curve.smooth_N, "smooth"),
        ]
    )
    label = (
        f"{curve.name} loss over {curve.step_N[-1] + 1:.0f} steps, from {curve.value_N[0]:.3g}"
        f" to {curve.last:.3g}"
    )
    return _svg(360, 196, label, body, "chart")


def score_bar(line: KindScore) -> Markup:
    """A kind's score with its interval, from 0 to 100 %, and the baselines as marks."""
    frame = Frame(4, 2, 232, 24, (0, 1), (0, 1))
    x = frame.at_x
    parts = [
        Markup('<rect class="track" x="{:.1f}" y="8" width="{:.1f}" height="12"/>').format(
            x(0), x(1) - x(0)),
        Markup('<rect class="bar" x="{:.1f}" y="8" width="{:.1f}" height="12"/>').format(
            x(0), x(line.score.mean) - x(0)),
        Markup('<path class="whisker" d="M{a:.1f} 14H{b:.1f}M{a:.1f} 10V18M{b:.1f} 10V18"/>'
               ).format(a=x(line.score.low), b=x(line.score.high)),
        Markup('<path class="constant" d="M{x:.1f} 3V25"/>').format(x=x(line.best_constant)),
    ]  # fmt: skip
    if line.blanked is not None:
        parts.append(
            Markup('<circle class="blanked" cx="{:.1f}" cy="14" r="3.5"/>').format(x(line.blanked))
        )
    if line.shuffled is not None:
        parts.append(
            Markup('<path class="shuffled" d="M{a:.1f} 10l4 4l-4 4l-4-4z"/>').format(
                a=x(line.shuffled)
            )
        )
    label = (
        f"score {100 * line.score.mean:.1f}, interval {100 * line.score.low:.1f} to"
        f" {100 * line.score.high:.1f}, constant {100 * line.best_constant:.1f}"
    )
    return _svg(240, 28, label, Markup("").join(parts), "scorebar")


def difference_bar(name: str, gain: Interval, verdict: Verdict, reach: float) -> Markup:
    """A difference with its interval around zero; all of a table share one scale.

    Args:
        name: of what differs.
        gain: the difference.
        verdict: where it stands towards zero.
        reach: value at the right end; its negative is at the left one.
    """
    x = Frame(4, 2, 232, 24, (-reach, reach), (0, 1)).at_x
    body = Markup(
        '<rect class="track" x="4" y="13" width="232" height="2"/>'
        '<path class="zero" d="M{zero:.1f} 2V26"/>'
        '<path class="whisker" d="M{low:.1f} 14H{high:.1f}M{low:.1f} 10V18M{high:.1f} 10V18"/>'
        '<circle class="gain {tone}" cx="{mean:.1f}" cy="14" r="4.5"/>'
    ).format(
        zero=x(0), low=x(gain.low), high=x(gain.high), mean=x(gain.mean),
        tone={"above": "better", "below": "worse"}.get(verdict, "even"),
    )  # fmt: skip
    label = (
        f"{name}: {100 * gain.mean:+.1f} points, interval {100 * gain.low:.1f} to"
        f" {100 * gain.high:.1f}"
    )
    return _svg(240, 28, label, body, "forest")


def histogram(
    values_N: np.ndarray, mean: Interval, constant: float | None, unit: str, label: str
) -> Markup:
    """How many clips have which error, from 0 on, with the mean, its interval and a constant's.

    Args:
        values_N: not negative, at least one.
        mean: of them.
        constant: what a constant guess has.
        unit: of all of them, for the axis.
        label: what is seen, in words.
    """
    most = max(float(values_N.max()), mean.high, constant or 0.0) or 1.0
    bins = min(30, max(8, round(2 * len(values_N) ** 0.5)))
    counts, edges = np.histogram(values_N, bins=bins, range=(0.0, most))
    frame = Frame(34, 24, 312, 104, (0.0, most), (0.0, float(counts.max())))
    whole = [tick for tick in ticks(0.0, float(counts.max()), 4) if tick == round(tick)]
    parts = [frame.axes(ticks(0.0, most, 5), whole, f"{unit}; clips upwards".lstrip("; "))]
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            top = frame.at_y(float(count))
            parts.append(
                Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
                       ).format(frame.at_x(low) + 0.5, top, frame.at_x(high) - frame.at_x(low) - 1,
                                frame.top + frame.height - top)
            )  # fmt: skip
    low, middle, high = (frame.at_x(value) for value in (mean.low, mean.mean, mean.high))
    parts.append(
        Markup('<path class="whisker" d="M{low:.1f} 12H{high:.1f}M{low:.1f} 8V16M{high:.1f} 8V16"/>'
               '<circle class="blanked" cx="{:.1f}" cy="12" r="4"/>').format(
            middle, low=low, high=high)
    )  # fmt: skip
    if constant is not None:
        parts.append(
            Markup('<path class="constant" d="M{:.1f} 2V{:.1f}"/>').format(
                frame.at_x(constant), frame.top + frame.height)
        )  # fmt: skip
    return _svg(360, 170, label, Markup("").join(parts), "histogram")


def duration_bar(seconds: float, most: float) -> Markup:
    """A stage's share of the longest stage's time."""
    width = max(1.0, 100 * seconds / most) if most > 0 else 1.0
    body = Markup('<rect class="bar" x="0" y="0" width="{:.1f}" height="6"/>').format(width)
    return Markup(
        '<svg class="duration" viewBox="0 0 100 6" preserveAspectRatio="none"'
        ' aria-hidden="true">{}</svg>'
    ).format(body)


def plan(paths: Sequence[tuple[str, np.ndarray]], unit: str, label: str) -> Markup:
    """Camera paths from above, right of the first camera across, ahead of it up.

    Args:
        paths: class of each, `teacher` or `model`, and its places (T, 2): right, ahead.
        unit: of them.
        label: what is seen, in words.
    """
    every = np.concatenate([places for _, places in paths])
    centre = (every.min(0) + every.max(0)) / 2
    # both axes in one scale, and never so fine that a camera that stands still seems to walk
    half = 0.58 * max(float((every.max(0) - every.min(0)).max()), 0.2)
    frame = Frame(
        46, 8, 240, 240,
        (float(centre[0] - half), float(centre[0] + half)),
        (float(centre[1] - half), float(centre[1] + half)),
    )  # fmt: skip
    parts = [frame.axes(ticks(*frame.x, 4), ticks(*frame.y, 4), f"right ({unit})")]
    middle = frame.top + frame.height / 2
    parts.append(
        Markup('<text x="12" y="{y:.1f}" text-anchor="middle" transform="rotate(-90 12 {y:.1f})">'
               "ahead ({})</text>").format(unit, y=middle)
    )  # fmt: skip
    for name, places in paths:
        parts.append(frame.line(places[:, 0], places[:, 1], f"path {name}"))
        for x, y in places:
            parts.append(
                Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.4"/>').format(
                    name, frame.at_x(x), frame.at_y(y))
            )  # fmt: skip
        x, y = frame.at_x(places[-1, 0]), frame.at_y(places[-1, 1])
        parts.append(
            Markup('<rect class="end {}" x="{:.1f}" y="{:.1f}" width="8" height="8"/>').format(
                name, x - 4, y - 4)
        )  # fmt: skip
    return _svg(300, 284, label, Markup("").join(parts), "plan")
