"""Who becomes champion: rules, turns taken by a lease, the way back, and steps tried again."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from geovr import lineage, promotion, tracking
from geovr.cli import app, outcome
from geovr.errors import Interrupted, StoreError, UserError
from geovr.evaluation.protocols import FLOW
from geovr.model_registry import CHAMPION, PREVIOUS, ModelRegistry, Version
from geovr.promotion.champion import answers_of
from geovr.promotion.decide import decide
from geovr.promotion.lease import _KEPT, lease
from geovr.promotion.policy import PromotionPolicy
from geovr.storage import Store

RULES = PromotionPolicy()


def version(number: int, root: Path, **right: int) -> Version:
    """A version with answers to 40 scenes of each kind, right for so many."""
    store = Store.open(str(root))
    rows = [
        {"id": f"{kind}{n}", "scene": f"s{n}", "kind": kind, "answer": "10", "options": None,
         "text": "10" if n < count else "99"}
        for kind, count in right.items() for n in range(40)
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    sha256 = store.put(f"evaluation/e{number}/predictions.jsonl", text)
    tags = {
        promotion.BENCHMARK_TAG: "b", promotion.EVALUATION_TAG: f"e{number}",
        promotion.STORE_TAG: str(root), promotion.SHA_TAG: sha256,
    }  # fmt: skip
    return Version("m", number, tags, "source")


def judged(candidate: Version, champion: Version | None, **rules: Any) -> promotion.Decision:
    policy = PromotionPolicy.model_validate(rules)
    return decide(candidate, champion, policy, commercial=False, answers=answers_of)


def registered(root: Path, *right: int) -> ModelRegistry:
    """Versions 1, 2, .. with so many right answers."""
    registry = ModelRegistry("m")
    with tracking.run("e", "n", key="k") as run:
        for number, count in enumerate(right, start=1):
            tags = version(number, root, turn=count).tags
            registry.ensure_version(f"d{number}", str(root), run.run_id, tags)
    return registry


def number(registry: ModelRegistry, alias: str) -> int | None:
    found = registry.by_alias(alias)
    return found and found.number


def test_a_kind_that_got_worse_stops_a_better_mean(tmp_path: Path) -> None:
    champion = version(1, tmp_path, turn=10, path_length=30)
    better = version(2, tmp_path, turn=38, path_length=20)
    refused = judged(better, champion)
    assert not refused.approved
    assert "worse than version 1 at path_length -25.0 points" in refused.reason
    assert refused.gains["turn"].mean == pytest.approx(0.7)
    assert judged(better, champion, max_regression=None).approved
    assert judged(better, champion, max_regression=0.3).approved
    # within what chance does to 40 scenes it is no regression
    assert judged(version(3, tmp_path, turn=38, path_length=29), champion).approved


def test_the_way_of_asking_is_the_flows_where_nobody_said_otherwise() -> None:
    assert promotion.way_of({}) == promotion.way_of({"protocol_digest": FLOW.digest})
    ways = [{"protocol_digest": d, "backend": b} for d in "ab" for b in ("local", "openai")]
    assert len({promotion.way_of(way) for way in ways}) == 4


def test_floors_hold_for_the_first_version_too(tmp_path: Path) -> None:
    made = version(1, tmp_path, turn=20, path_length=30)
    assert judged(made, None, floors={"turn": 0.5, "mean": 0.62}).approved
    refused = judged(made, None, floors={"turn": 0.6, "mean": 0.7})
    assert refused.reason == "it is below its floor: turn 50.0 < 60.0, mean 62.5 < 70.0"
    assert "route_planning (not asked)" in judged(made, None, floors={"route_planning": 0}).reason


def test_what_learnt_from_a_planted_fault_is_never_promoted(tmp_path: Path) -> None:
    """Neither as the first version nor as the best."""
    fair = version(2, tmp_path, turn=38)
    told = lineage.tags([*lineage.teacher(None), *lineage.planted("noise")])
    faulty = Version("m", 2, fair.tags | told, "source")
    champion = version(1, tmp_path, turn=5)
    for before in (None, champion):
        assert judged(fair, before).approved
        refused = judged(faulty, before)
        assert not refused.approved
        assert "learnt from targets with a planted fault (noise)" in refused.reason
    told = lineage.tags([*lineage.teacher(None), *lineage.planted(None)])
    assert judged(Version("m", 2, fair.tags | told, "source"), champion).approved


def test_answers_to_other_questions_are_not_compared(tmp_path: Path) -> None:
    registry = registered(tmp_path, 20)
    assert promotion.promote("m", 1, RULES).number == 1
    with tracking.run("e", "n", key="k") as run:
        tags = version(2, tmp_path, displacement=40).tags
        registry.ensure_version("d2", "s", run.run_id, tags)
        tags = version(3, tmp_path, turn=40).tags | {promotion.BENCHMARK_TAG: "c"}
        registry.ensure_version("d3", "s", run.run_id, tags)
        # the same questions, but in other words
        tags = version(4, tmp_path, turn=40).tags | {promotion.PROTOCOL_TAG: "p"}
        registry.ensure_version("d4", "s", run.run_id, tags)
    for candidate, why in (
        (2, "80 questions were answered by one"),
        (3, "evaluate and register"),
        (4, "evaluate and register"),
    ):
        with pytest.raises(promotion.GateRefused, match=f"can't be compared: .*{why}"):
            promotion.promote("m", candidate, RULES)
    assert number(registry, CHAMPION) == 1


def test_the_way_back_and_back_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="has no champion"):
        promotion.rollback("m")
    registry = registered(tmp_path, 10, 30)
    promotion.promote("m", 1, RULES)
    with pytest.raises(UserError, match="none to go back to"):
        promotion.rollback("m")
    promotion.promote("m", 2, RULES)
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == (2, 1)
    monkeypatch.chdir(tmp_path)
    assert outcome(lambda: app(["rollback", "--model", "m"], standalone_mode=False)) == 0
    assert "m version 1 is champion again, not 2" in capsys.readouterr().out
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == (1, 2)
    assert registry.version(1).tags["geovr.promotion_reason"] == "rolled back from version 2"
    promotion.rollback("m")
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == (2, 1)


@pytest.mark.fault(46)
def test_a_promotion_that_is_tried_again_changes_nothing(tmp_path: Path) -> None:
    registry = registered(tmp_path, 10, 30)
    promotion.promote("m", 1, RULES)
    promotion.promote("m", 2, RULES)
    before = registry.version(2).tags, registry.version(1).tags
    first = registry.version(2).tags[promotion.DECISION_TAG]
    again = promotion.judge(registry, registry.version(2), RULES, commercial=False)
    assert again.approved and f"approved: {again.reason}" == first
    assert (registry.version(2).tags, registry.version(1).tags) == before
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == (2, 1)


def test_of_promotions_at_once_only_improvements_remain(tmp_path: Path) -> None:
    """However they interleave: each is compared with the champion that it replaces."""
    registry = registered(tmp_path, 5, 15, 38, 25)
    promotion.promote("m", 1, RULES)

    def attempt(candidate: int) -> str:
        try:
            return f"{promotion.promote('m', candidate, RULES).number} won"
        except promotion.GateRefused as error:
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(attempt, (2, 3, 4)))
    assert told[1] == "3 won" and number(registry, CHAMPION) == 3
    for candidate in (2, 4):
        over = registry.version(candidate).tags.get("geovr.promoted_over")
        assert over in (None, "1", "2")
        assert (over is None) == (not told[candidate - 2].endswith("won"))
    previous = number(registry, PREVIOUS)
    assert str(previous) == registry.version(3).tags["geovr.promoted_over"]


def test_a_lease_is_held_by_one_and_ends_with_its_holder(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    inside = threading.Semaphore(1)
    together: list[bool] = []

    def work(_: int) -> None:
        with lease(store, "m", sleep=lambda _: None):
            together.append(not inside.acquire(blocking=False))
            inside.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert len(together) == 40 and not any(together)
    assert len(store.keys("promotion/m/leases")) < 4 * _KEPT
    promoting = pytest.raises(Interrupted, match=r":\d+:.* is promoting")
    with lease(store, "m"), promoting, lease(store, "m", patience_s=0):
        pass
    with pytest.raises(RuntimeError), lease(store, "m"):
        raise RuntimeError("dies")
    with lease(store, "m", patience_s=0), lease(store, "other", patience_s=0):
        pass


def test_a_lease_whose_holder_died_runs_out_and_binds_nobody(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    dead = lease(store, "m", lasts_s=0.05)
    held = dead.__enter__()
    taken = 0
    with lease(store, "m", patience_s=5, sleep=lambda _: None) as fresh:
        taken = fresh.number
        with pytest.raises(Interrupted, match="nothing was promoted"):
            held.check()
        fresh.check()
    assert taken == held.number + 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.fault(46)
@pytest.mark.parametrize("survived", [0, 1, 2, 3])
@pytest.mark.parametrize("what", ["promote", "rollback"])
def test_aliases_moved_in_part_are_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, survived: int
) -> None:
    """Killed after so many calls to the server: the same command ends as if it had not happened."""
    registry = registered(tmp_path, 5, 20, 38)
    promotion.promote("m", 1, RULES)
    promotion.promote("m", 2, RULES)
    if what == "rollback":
        promotion.promote("m", 3, RULES)

    def run() -> None:
        if what == "promote":
            promotion.promote("m", 3, RULES)
        else:
            promotion.rollback("m")

    left = [survived]

    def dying(call: Any) -> Any:
        def once(self: ModelRegistry, *arguments: Any) -> None:
            if left[0] == 0 and Path(tmp_path / "promotion/m/move.json").exists():
                raise Killed
            left[0] -= 1
            call(self, *arguments)

        return once

    with monkeypatch.context() as patch:
        for name in ("set_alias", "set_tags"):
            patch.setattr(ModelRegistry, name, dying(getattr(ModelRegistry, name)))
        remove = Store.remove

        def struck_out(self: Store, key: str) -> None:
            if key.endswith("move.json"):
                raise Killed
            remove(self, key)

        patch.setattr(Store, "remove", struck_out)
        if what == "promote":
            left[0] += 1  # the verdict's tag, before the aliases
        with pytest.raises(Killed):
            run()
    run()
    wanted = (3, 2) if what == "promote" else (2, 3)
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == wanted
    assert registry.version(wanted[0]).tags["geovr.promoted_over"] == str(wanted[1])
    assert not (tmp_path / "promotion/m/move.json").exists()


def test_few_scenes_earn_nothing(tmp_path: Path) -> None:
    """Where every draw of scenes is the same, an interval has no width and says nothing."""

    def of_scenes(number: int, scenes: int, right: int) -> Version:
        made = version(number, tmp_path, turn=right)
        store = Store.open(str(tmp_path))
        rows = [row | {"scene": f"s{n % scenes}"} for n, row in enumerate(answers_of(made))]
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        sha256 = store.put(f"evaluation/e{number}/predictions.jsonl", text)
        return Version("m", number, made.tags | {promotion.SHA_TAG: sha256}, "source")

    for scenes in (1, 2, 5):
        refused = judged(of_scenes(2, scenes, 38), of_scenes(1, scenes, 5))
        assert not refused.approved and f"{scenes} scenes are too few" in refused.reason
    assert judged(of_scenes(2, 6, 38), of_scenes(1, 6, 5)).approved
    assert judged(of_scenes(2, 2, 38), of_scenes(1, 2, 5), min_scenes=2).approved


def test_a_store_that_fails_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = registered(tmp_path, 10, 30)
    promotion.promote("m", 1, RULES)

    def failing(*arguments: Any) -> Any:
        raise StoreError("s3://b/k: no answer in 60 s")

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "answers_on_the_benchmark_of", failing)
        with pytest.raises(StoreError, match="no answer"):
            promotion.promote("m", 2, RULES)
    assert promotion.DECISION_TAG not in registry.version(2).tags
    assert promotion.promote("m", 2, RULES).number == 2


def test_a_version_that_is_not_there_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path, 10)
    monkeypatch.chdir(tmp_path)
    for given in ("7", "0"):
        command = ["promote", "--model", "m", "--version", given]
        assert outcome(lambda: app(command, standalone_mode=False)) == 2  # noqa: B023
        assert f"no version has the number {given}" in capsys.readouterr().err
