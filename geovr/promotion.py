"""Which version is the champion: a later one only when it is better on the same benchmark, and in a
profile for commercial use only when its lineage allows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geovr.errors import GateRefused, UserError
from geovr.lineage import barred_from_commerce
from geovr.model_registry import CHALLENGER, CHAMPION, ModelRegistry, Version

BENCHMARK_TAG = "geovr.benchmark"
EVALUATION_TAG = "geovr.evaluation"
STORE_TAG = "geovr.store"
SHA_TAG = "geovr.predictions_sha256"
DECISION_TAG = "geovr.decision"
PROFILE_TAG = "geovr.require_commercial_use"


@dataclass(frozen=True)
class Decision:
    """Whether a version may become champion, and why."""

    approved: bool
    reason: str


def decide(
    candidate: Version,
    champion: Version | None,
    *,
    min_gain: float = 0.0,
    commercial: bool = False,
) -> Decision:
    """Compare a candidate with the champion, item by item on the answers that both gave.

    Approved without a champion; else when both answered the same benchmark and the 95 % interval
    of the paired difference of the mean score, clustered by scene, lies above `min_gain`. Where
    `commercial` use is demanded, a candidate whose lineage isn't known to allow it is refused, and
    a champion of that kind is no champion to be better than.
    """
    barred = barred_from_commerce(candidate.tags) if commercial else None
    if barred:
        return Decision(
            False,
            f"commercial use is demanded, but {barred}; train from a base model and targets whose"
            " licences allow it, or set register.require_commercial_use to false",
        )
    if champion is None:
        return Decision(True, "it is the first version")
    if commercial and barred_from_commerce(champion.tags):
        return Decision(
            True, f"version {champion.number}, the champion, may not be used commercially"
        )
    if champion.number == candidate.number:
        return Decision(True, "it is the champion already")
    ours, theirs = candidate.tags.get(BENCHMARK_TAG), champion.tags.get(BENCHMARK_TAG)
    if ours is None or ours != theirs:
        return Decision(
            False,
            f"version {champion.number} was evaluated on another benchmark (digest"
            f" {str(theirs)[:12]}, not {str(ours)[:12]}); evaluate both on one",
        )
    gain = _paired_gain(candidate, champion)
    text = f"{100 * gain.mean:+.1f} points [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"
    if gain.low > min_gain:
        return Decision(True, f"it is better than version {champion.number}: {text}")
    return Decision(False, f"it is not shown to be better than version {champion.number}: {text}")


def _paired_gain(candidate: Version, champion: Version) -> Any:
    import numpy as np
    import pandas as pd

    from geovr.evaluation.kinds import groups, headline
    from geovr.evaluation.predictions import read_predictions
    from geovr.evaluation.scorers import parse_number, score
    from geovr.evaluation.statistics import SceneBootstrap
    from geovr.storage import Store

    def scored(version: Version) -> pd.DataFrame:
        store = Store.open(version.tags[STORE_TAG])
        rows = read_predictions(store, version.tags[EVALUATION_TAG], version.tags[SHA_TAG])
        frame = pd.DataFrame(rows)

        # an answer that is no number is an option's letter
        options = [
            None if parse_number(answer) is not None else [answer] for answer in frame.answer
        ]
        items = zip(frame.text, frame.answer, options, strict=True)
        frame["score"] = [score(text, answer, option) for text, answer, option in items]
        return frame

    both = scored(candidate).merge(scored(champion)[["id", "score"]], on="id", suffixes=("", "_"))
    masks, weights = groups(both["kind"], headline(both["kind"]).kinds)
    bootstrap = SceneBootstrap(np.asarray(both["scene"]), resamples=2000, seed=0)
    difference = np.asarray(both["score"] - both["score_"])
    return bootstrap.groups_mean(difference, masks, weights)


def promote(
    model_name: str, number: int | None, *, min_gain: float = 0.0, commercial: bool = False
) -> Version:
    """Make a version champion if it may be; the one before becomes `previous`.

    Args:
        model_name: of the registered model.
        number: the version; the challenger when not given.
        min_gain: by how much the interval must lie above zero.
        commercial: demand that its lineage allows commercial use; so does the profile that it was
            registered under.

    Raises:
        UserError: when there is no such version.
        GateRefused: when it isn't better, or its lineage forbids it; the reason says which.
    """
    registry = ModelRegistry(model_name)
    candidate = registry.version(number) if number else registry.by_alias(CHALLENGER)
    if candidate is None:
        raise UserError(
            f"{model_name}: no version has the alias {CHALLENGER!r}; give --version, or register"
            " one first"
        )
    commercial = commercial or candidate.tags.get(PROFILE_TAG) == "true"
    champion = registry.by_alias(CHAMPION)
    decision = decide(candidate, champion, min_gain=min_gain, commercial=commercial)
    verdict = "approved" if decision.approved else "refused"
    registry.set_tags(candidate.number, {DECISION_TAG: f"{verdict}: {decision.reason}"})
    if not decision.approved:
        raise GateRefused(f"{model_name} version {candidate.number}: refused: {decision.reason}")
    registry.make_champion(candidate.number, decision.reason)
    return registry.version(candidate.number)
