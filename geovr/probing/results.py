"""What a probe found, as probe.json has it, and how predictions become numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from geovr.evaluation.statistics import SceneBootstrap
from geovr.probing.config import ProbeConfig
from geovr.probing.targets import Target


class Told(BaseModel):
    """Part of probe.json; what is not defined is null there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(Told):
    """A number with its 95 % interval over scenes."""

    value: float
    low: float
    high: float


class Reading(Told):
    """One target, out of fold: each scene is predicted by a fit to scenes of other folds."""

    r2: Span
    """1 - squared error / squared distance from the mean, all clips pooled, 0 for a constant."""
    error: float
    """Median of the errors in the target's unit, shares not in percent."""
    penalties: tuple[float, ...] = ()
    """Chosen for each fold."""
    more: Span | None = None
    """R² beyond the first model's at the same layer, paired by scene."""


class LayerReadings(Told):
    """What one layer says."""

    layer: int
    name: str
    targets: dict[str, Reading]


class ModelProbe(Told):
    """One model."""

    name: str
    reference: str
    width: int
    num_layers: int
    items: dict[str, int]
    """Of each target: tokens, frames, clips."""
    constant: dict[str, Reading]
    """A fit that sees nothing: the mean of the other folds."""
    layers: list[LayerReadings]


class Probe(Told):
    """probe.json."""

    config: ProbeConfig
    clips_digest: str
    clips: int
    scenes: int
    left_out: dict[str, int]
    """Reason -> clips of the split."""
    models: list[ModelProbe]


@dataclass(frozen=True)
class Scored:
    """A reading, and its R² in every resample of the scenes."""

    reading: Reading
    draws: np.ndarray


class Scorer:
    """Scores predictions about one set of scenes, all with the same resamples.

    Args:
        scenes: all of them, each once.
        resamples: how many.
        seed: of the draws.
    """

    def __init__(self, scenes: list[str], resamples: int, seed: int) -> None:
        bootstrap = SceneBootstrap(np.asarray(scenes), resamples, seed)
        self._place = {str(name): place for place, name in enumerate(bootstrap.names)}
        self._weights = bootstrap.weights.astype(np.float64)

    def __call__(
        self,
        target: Target,
        said_RQ: torch.Tensor,
        true_RQ: torch.Tensor,
        scenes_R: list[str],
        penalties: tuple[float, ...] = (),
    ) -> Scored:
        """Score a target's predictions.

        Args:
            target: whose.
            said_RQ: predictions of its columns.
            true_RQ: the truth.
            scenes_R: scene of each row.
            penalties: that the fits used.
        """
        place_R = np.asarray([self._place[scene] for scene in scenes_R])
        error_R = (said_RQ - true_RQ).square().sum(-1).numpy()
        # resamples keep the mean of all: a mean of their own would always be nearer to them
        spread_R = (true_RQ - true_RQ.mean(0)).square().sum(-1).numpy()
        error_S, spread_S = (
            np.bincount(place_R, values, len(self._place)) for values in (error_R, spread_R)
        )
        # what rounding leaves of a target that never varies is no spread
        varies = spread_R.sum() > 1e-12 * float(true_RQ.square().sum())
        if not varies:
            spread_S = np.zeros_like(spread_S)
        draws = _r2(self._weights @ error_S, self._weights @ spread_S)
        reading = Reading(
            r2=_span(float(_r2(error_S.sum(), spread_S.sum())), draws),
            error=float(target.error(said_RQ, true_RQ).median()),
            penalties=penalties,
        )
        return Scored(reading, draws)


def _r2(error: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """1 - error / spread, NaN where there is no spread."""
    found: np.ndarray = np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), np.nan)
    return found


def _span(value: float, draws: np.ndarray) -> Span:
    known = draws[~np.isnan(draws)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Span(value=value, low=float(low), high=float(high))


def beyond(one: Scored, first: Scored) -> Reading:
    """A reading with what its R² is beyond another's of the same scenes."""
    more = _span(one.reading.r2.value - first.reading.r2.value, one.draws - first.draws)
    return one.reading.model_copy(update={"more": more})
