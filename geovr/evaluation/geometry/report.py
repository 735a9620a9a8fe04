"""geometry.json: every clip's numbers, their means with intervals, and the clips without any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from geovr.evaluation.geometry.measure import NUMBERS
from geovr.evaluation.statistics import Interval, SceneBootstrap
from geovr.storage import write_atomic

FILE = "geometry.json"


class ClipGeometry(BaseModel):
    """One clip; `failure` says why it has no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip_id: str
    scene: str
    numbers: dict[str, float] = {}
    """Those of measure.NUMBERS that are defined for it."""
    constant: dict[str, float] = {}
    """The same of a guess that looks at nothing (measure.constant_numbers)."""
    failure: str | None = None


class Mean(BaseModel):
    """Mean over the clips for which a number is defined, each counting the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Interval
    clips: int
    constant: float | None
    """Mean of the constant guess over the same clips; None where it has no such number."""


class GeometryReport(BaseModel):
    """What was measured on a benchmark's clips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    silent: str | None = None
    """Why no clip was measured."""
    means: dict[str, Mean] = {}
    clips: tuple[ClipGeometry, ...] = ()
    """All that were to be measured, in the order of their ids."""
    left_out: int = 0
    """Clips of the benchmark that evaluate.geometry.clips left out."""

    @property
    def failed(self) -> list[ClipGeometry]:
        """Clips without numbers."""
        return [clip for clip in self.clips if clip.failure is not None]

    def worst(self, name: str, most: int) -> list[tuple[ClipGeometry, float]]:
        """The clips where a number is worst, and the number."""
        have = [(clip, clip.numbers[name]) for clip in self.clips if name in clip.numbers]
        sign = 1 if NUMBERS[name].higher else -1
        return sorted(have, key=lambda pair: (sign * pair[1], pair[0].clip_id))[:most]

    def values(self, name: str) -> np.ndarray:
        """A number of every clip that has it."""
        return np.asarray([c.numbers[name] for c in self.clips if name in c.numbers])


def make_report(
    clips: Sequence[ClipGeometry], *, left_out: int, resamples: int, seed: int
) -> GeometryReport:
    """Means with 95 % intervals, bootstrapped over scenes.

    Args:
        clips: all that were to be measured.
        left_out: clips of the benchmark that were not.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    means: dict[str, Mean] = {}
    measured = [clip for clip in clips if clip.failure is None]
    if measured:
        bootstrap = SceneBootstrap(np.asarray([clip.scene for clip in measured]), resamples, seed)
        for name in NUMBERS:
            values = np.asarray([clip.numbers.get(name, np.nan) for clip in measured])
            have = np.isfinite(values)
            if have.any():
                interval = bootstrap.groups_mean(values, [have])
                guess = [c.constant.get(name) for c, one in zip(measured, have, strict=True) if one]
                known = [value for value in guess if value is not None]
                constant = float(np.mean(known)) if len(known) == len(guess) else None
                means[name] = Mean(value=interval, clips=len(guess), constant=constant)
    return GeometryReport(means=means, clips=tuple(clips), left_out=left_out)


def write(report: GeometryReport | None, directory: Path) -> dict[str, Any]:
    """Write geometry.json, or remove one that an earlier run left; gives what it says.

    Returns:
        {"geometry": its JSON value}, or nothing without a report.
    """
    path = directory / FILE
    if report is None:
        path.unlink(missing_ok=True)
        return {}
    text = report.model_dump_json(indent=1) + "\n"
    write_atomic(path, text.encode())
    return {"geometry": json.loads(text)}


def metrics(report: GeometryReport | None) -> dict[str, float]:
    """Flat numbers for a tracker."""
    if report is None:
        return {}
    flat = {f"eval/geometry/{name}": mean.value.mean for name, mean in report.means.items()}
    return flat | {
        "eval/geometry/clips": float(len(report.clips)),
        "eval/geometry/clips_failed": float(len(report.failed)),
    }
