"""Tracking and registry on a real MLflow with a real database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geovr import promotion, tracking
from geovr.errors import GateRefused, Interrupted
from geovr.model_registry import CHAMPION, PREVIOUS, ModelRegistry, Version
from geovr.storage import Store


def test_a_run_is_found_again_by_its_key(tmp_path: Path) -> None:
    with tracking.run("e", "first", key="k1") as run:
        run.log_params({"steps": 3, "long": "x" * 10_000})
        run.log_metrics({"loss": 1.0}, step=0)
        first = run.run_id
    with tracking.run("e", "again", key="k1") as run:
        run.log_params({"steps": 4})
        run.log_metrics({"loss": 0.5}, step=1)
        run.log_dataset("clips", "s3://x", "d" * 64, "training", {"dvc_md5": "m"})
        assert run.run_id == first
    with tracking.run("e", "other", key="k2") as run:
        assert run.run_id != first
    stored = tracking.client().get_run(first)
    assert stored.data.params["steps"] == "3"
    assert stored.data.metrics["loss"] == 0.5
    assert stored.info.status == "FINISHED"
    history = tracking.client().get_metric_history(first, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 0.5)]
    assert stored.inputs.dataset_inputs[0].dataset.digest == "d" * 36


@pytest.mark.parametrize(
    "error, status",
    [(ValueError(), "FAILED"), (Interrupted(), "KILLED"), (GateRefused(), "FINISHED")],
)
def test_how_a_run_ended_is_recorded(error: Exception, status: str) -> None:
    with pytest.raises(type(error)), tracking.run("e", "n", key="k") as run:
        raise error
    assert tracking.client().get_run(run.run_id).info.status == status


def test_a_checkpoint_is_registered_once(tmp_path: Path) -> None:
    registry = ModelRegistry("m")
    assert registry.by_alias(CHAMPION) is None
    with tracking.run("e", "n", key="k") as run:
        first = registry.ensure_version("digest-1", str(tmp_path), run.run_id, {"a": "1"})
        again = registry.ensure_version("digest-1", str(tmp_path), run.run_id, {"a": "2"})
        second = registry.ensure_version("digest-2", str(tmp_path), run.run_id, {})
    assert first.number == again.number == 1 and second.number == 2
    assert again.tags["a"] == "2"
    registry.make_champion(1, "first")
    registry.make_champion(2, "better")
    champion, previous = registry.by_alias(CHAMPION), registry.by_alias(PREVIOUS)
    assert champion is not None and champion.number == 2
    assert champion.tags["geovr.promoted_over"] == "1"
    assert previous is not None and previous.number == 1


def version(number: int, root: Path, right: int, benchmark: str = "b") -> Version:
    """A version whose stored answers to 40 room sizes are right for the first `right` scenes."""
    store = Store.open(str(root))
    rows = [
        {
            "id": f"q{n}", "scene": f"s{n}", "kind": "room_size_estimation", "answer": "10",
            "text": "10" if n < right else "99",
        }
        for n in range(40)
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    sha256 = store.put(f"evaluation/e{number}/predictions.jsonl", text)
    tags = {
        promotion.BENCHMARK_TAG: benchmark,
        promotion.EVALUATION_TAG: f"e{number}",
        promotion.STORE_TAG: str(root),
        promotion.SHA_TAG: sha256,
    }
    return Version("m", number, tags, "source")


def test_promotion_is_earned_on_the_same_benchmark(tmp_path: Path) -> None:
    champion = version(1, tmp_path, right=10)
    assert promotion.decide(champion, None).approved
    better = promotion.decide(version(2, tmp_path, right=30), champion)
    assert better.approved and "+50.0 points" in better.reason
    assert not promotion.decide(version(3, tmp_path, right=11), champion).approved
    assert not promotion.decide(version(4, tmp_path, right=5), champion).approved
    other = promotion.decide(version(5, tmp_path, right=40, benchmark="c"), champion)
    assert not other.approved and "another benchmark" in other.reason


def test_promote_moves_the_alias_or_refuses(tmp_path: Path) -> None:
    registry = ModelRegistry("m")
    with tracking.run("e", "n", key="k") as run:
        for number, right in ((1, 20), (2, 5), (3, 35)):
            made = version(number, tmp_path, right)
            registry.ensure_version(f"d{number}", str(tmp_path), run.run_id, made.tags)
    assert promotion.promote("m", 1).number == 1
    with pytest.raises(GateRefused, match="not shown to be better than version 1"):
        promotion.promote("m", 2)
    assert promotion.promote("m", 3).number == 3
    previous = registry.by_alias(PREVIOUS)
    assert previous is not None and previous.number == 1
    assert registry.version(2).tags[promotion.DECISION_TAG].startswith("refused")
