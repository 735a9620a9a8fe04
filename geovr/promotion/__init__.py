"""Promotion: who becomes champion, on what evidence, one at a time, and the way back."""

from __future__ import annotations

import json

from geovr.errors import GateRefused, LostObject, UserError
from geovr.evaluation.comparison import NotComparable
from geovr.model_registry import CHALLENGER, CHAMPION, PREVIOUS, ModelRegistry, Version
from geovr.promotion.champion import (
    BENCHMARK_TAG,
    EVALUATION_TAG,
    NAME_TAG,
    PROTOCOL_TAG,
    REPORT_TAG,
    SCORING_TAG,
    SHA_TAG,
    STORE_TAG,
    answers_of,
    answers_on_the_benchmark_of,
    way_of,
)
from geovr.promotion.decide import Answers, Decision, decide
from geovr.promotion.lease import lease
from geovr.promotion.moves import Move, carry_out, finish
from geovr.promotion.policy import PromotionPolicy

__all__ = [
    "BENCHMARK_TAG", "DECISION_TAG", "EVALUATION_TAG", "NAME_TAG", "PROFILE_TAG", "PROTOCOL_TAG",
    "REPORT_TAG", "SCORING_TAG", "SHA_TAG", "STORE_TAG", "Decision",
    "PromotionPolicy", "judge", "promote", "rollback", "way_of",
]  # fmt: skip

DECISION_TAG = "geovr.decision"
PROFILE_TAG = "geovr.require_commercial_use"


def judge(
    registry: ModelRegistry, candidate: Version, policy: PromotionPolicy, *, commercial: bool
) -> Decision:
    """Decide on a version and make it champion if it earned it, while nobody else does.

    The decision is in its tags. A version that is champion already stays as it is, tags and all,
    so that a step which is tried again changes nothing.

    Args:
        registry: of the model.
        candidate: one of its versions.
        policy: the rules.
        commercial: demand a lineage that allows commercial use.

    Raises:
        Interrupted: when another promotion of this model takes too long.
    """

    def answers(version: Version) -> Answers:
        if version.number == candidate.number:
            return answers_of(version)
        return answers_on_the_benchmark_of(candidate, version)

    while True:
        champion = registry.by_alias(CHAMPION)
        # asking a champion again may take hours: that is done before the lease is taken
        try:
            decision = decide(candidate, champion, policy, commercial=commercial, answers=answers)
        except (UserError, LostObject, NotComparable) as error:
            # what a store or a server fails at is no verdict: it ends this, to be tried again
            decision = Decision(False, f"it can't be compared: {error}")
        store = registry.lease_store(candidate.tags[STORE_TAG])
        with lease(store, registry.name) as held:
            finish(registry, store)
            now = registry.by_alias(CHAMPION)
            if (now and now.number) != (champion and champion.number):
                continue  # somebody else was promoted meanwhile
            if decision.approved and champion is not None and champion.number == candidate.number:
                return _recorded(registry, candidate) or decision
            held.check()
            text = json.dumps(decision.told(), indent=1)
            store.put(_record_key(candidate), text.encode())
            verdict = "approved" if decision.approved else "refused"
            registry.set_tags(candidate.number, {DECISION_TAG: f"{verdict}: {decision.reason}"})
            if decision.approved:
                over = champion.number if champion is not None else None
                carry_out(registry, store, Move(candidate.number, over, decision.reason))
        return decision


def _record_key(version: Version) -> str:
    return f"promotion/{version.name}/decisions/{version.number:08d}.json"


def _recorded(registry: ModelRegistry, version: Version) -> Decision | None:
    """The decision that made a version champion, with its numbers; None where there was none."""
    tag = version.tags.get(DECISION_TAG, "")
    if not tag.startswith("approved: "):
        return None
    store, key = registry.lease_store(version.tags[STORE_TAG]), _record_key(version)
    if store.exists(key):
        found = Decision.of(json.loads(store.get(key)))
        if found.approved and f"approved: {found.reason}" == tag:
            return found
    # of an earlier version, which kept no numbers
    return Decision(True, tag.removeprefix("approved: "), version.number)


def promote(
    model_name: str, number: int | None, policy: PromotionPolicy, *, commercial: bool = False
) -> Version:
    """Make a version champion if it may be; the one before becomes `previous`.

    Args:
        model_name: of the registered model.
        number: the version; the challenger when not given.
        policy: the rules.
        commercial: demand that its lineage allows commercial use; so does the profile that it was
            registered under.

    Raises:
        UserError: when there is no such version.
        GateRefused: when it isn't better, or its lineage forbids it; the reason says which.
    """
    registry = ModelRegistry(model_name)
    candidate = registry.by_alias(CHALLENGER) if number is None else registry.by_number(number)
    if candidate is None:
        lacking = f"has the alias {CHALLENGER!r}" if number is None else f"has the number {number}"
        raise UserError(
            f"{model_name}: no version {lacking}; give --version, or register one first"
        )
    if STORE_TAG not in candidate.tags:
        raise UserError(
            f"{model_name} version {candidate.number}: it lacks the tag {STORE_TAG}, so it was not"
            " registered by `geovr register`; register its checkpoint by that"
        )
    commercial = commercial or candidate.tags.get(PROFILE_TAG) == "true"
    decision = judge(registry, candidate, policy, commercial=commercial)
    if not decision.approved:
        raise GateRefused(f"{model_name} version {candidate.number}: refused: {decision.reason}")
    return registry.version(candidate.number)


def rollback(model_name: str) -> tuple[Version, Version]:
    """Give the champion's alias back to the version before, which becomes champion again.

    Returns:
        the champion now, and the one it was taken from, which is `previous` now.

    Raises:
        UserError: when there is no champion or none before it.
    """
    registry = ModelRegistry(model_name)
    known = registry.by_alias(CHAMPION) or registry.by_alias(PREVIOUS)
    if known is None:
        raise UserError(f"{model_name}: has no champion; `geovr promote` makes one")
    store = registry.lease_store(known.tags.get(STORE_TAG, ""))
    with lease(store, registry.name) as held:
        done = finish(registry, store)
        if done is None or not done.back:
            done = _way_back(registry)
            held.check()
            carry_out(registry, store, done)
    assert done.over is not None  # a way back is always one from a champion
    return registry.version(done.to), registry.version(done.over)


def _way_back(registry: ModelRegistry) -> Move:
    champion, previous = registry.by_alias(CHAMPION), registry.by_alias(PREVIOUS)
    if champion is None or previous is None or previous.number == champion.number:
        raise UserError(
            f"{registry.name}: no other version has the alias {PREVIOUS!r}, so there is none to go"
            " back to"
        )
    reason = f"rolled back from version {champion.number}"
    return Move(previous.number, champion.number, reason, back=True)
