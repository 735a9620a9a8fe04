"""Tracking and registry on a real MLflow with a real database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from geovr import promotion, tracking
from geovr.artifacts import Checkpoint, EvalReport
from geovr.cli import app, outcome
from geovr.errors import GateRefused, Interrupted
from geovr.lineage import Part, tags
from geovr.model_registry import CHAMPION, PREVIOUS, ModelRegistry, Version
from geovr.promotion.champion import answers_of
from geovr.promotion.decide import Decision
from geovr.promotion.decide import decide as decided
from geovr.promotion.policy import PromotionPolicy
from geovr.stages.register import RegisterConfig, register
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
    registry.make_champion(1, "first", None)
    registry.make_champion(2, "better", 1)
    champion, previous = registry.by_alias(CHAMPION), registry.by_alias(PREVIOUS)
    assert champion is not None and champion.number == 2
    assert champion.tags["geovr.promoted_over"] == "1"
    assert previous is not None and previous.number == 1


RULES = PromotionPolicy()


def decide(
    candidate: Version, champion: Version | None, *, commercial: bool = False, **rules: Any
) -> Decision:
    policy = PromotionPolicy.model_validate(rules)
    return decided(candidate, champion, policy, commercial=commercial, answers=answers_of)


def version(
    number: int, root: Path, right: int, benchmark: str = "b", lineage: dict[str, str] | None = None
) -> Version:
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
        **(lineage or {}),
    }
    return Version("m", number, tags, "source")


def test_promotion_is_earned_on_the_same_benchmark(tmp_path: Path) -> None:
    champion = version(1, tmp_path, right=10)
    assert decide(champion, None).approved
    better = decide(version(2, tmp_path, right=30), champion)
    assert better.approved and "+50.0 points" in better.reason
    assert not decide(version(3, tmp_path, right=11), champion).approved
    assert not decide(version(4, tmp_path, right=5), champion).approved


def test_promote_moves_the_alias_or_refuses(tmp_path: Path) -> None:
    registry = ModelRegistry("m")
    with tracking.run("e", "n", key="k") as run:
        for number, right in ((1, 20), (2, 5), (3, 35)):
            made = version(number, tmp_path, right)
            registry.ensure_version(f"d{number}", str(tmp_path), run.run_id, made.tags)
    assert promotion.promote("m", 1, RULES).number == 1
    with pytest.raises(GateRefused, match="worse than version 1 at room_size"):
        promotion.promote("m", 2, RULES)
    assert promotion.promote("m", 3, RULES).number == 3
    previous = registry.by_alias(PREVIOUS)
    assert previous is not None and previous.number == 1
    assert registry.version(2).tags[promotion.DECISION_TAG].startswith("refused")


def of(commercial_use: bool | None) -> dict[str, str]:
    """Tags of a version whose teacher's licence says so about commercial use."""
    return tags([Part(role="teacher", name="t", license="l", commercial_use=commercial_use)])


@pytest.mark.parametrize("allowed", [False, None])
def test_a_commercial_profile_refuses_what_is_not_known_to_be_allowed(
    tmp_path: Path, allowed: bool | None
) -> None:
    barred = version(1, tmp_path, right=20, lineage=of(allowed))
    assert decide(barred, None).approved
    refused = decide(barred, None, commercial=True)
    assert not refused.approved and "teacher t (l)" in refused.reason
    assert not decide(barred, barred, commercial=True).approved
    # a champion that may not be used is none to be better than, in this profile only
    worse = version(2, tmp_path, right=5, lineage=of(True))
    assert decide(worse, barred, commercial=True).approved
    assert not decide(worse, barred).approved
    better = version(3, tmp_path, right=30, lineage=of(True))
    assert not decide(worse, better, commercial=True).approved


def artifacts(root: Path, lineage: list[Part]) -> tuple[Checkpoint, EvalReport]:
    """A checkpoint and its report as train and evaluate leave them."""
    made = version(1, root / "store", right=20)
    with tracking.run("e", "n", key="k") as run:
        run_id = run.run_id
    common: dict[str, Any] = {"config": {}, "counts": {}, "store": str(root / "store")}
    for name in ("checkpoint", "evaluation"):
        (root / name).mkdir()
    trained = {
        "prefix": "training/k/export", "mlflow_run_id": run_id, "dvc": None,
        "teacher": {"name": "t", "license": "l", "commercial_use": False},
        "lineage": [part.model_dump() for part in lineage],
    }  # fmt: skip
    checkpoint = Checkpoint.commit(
        root / "checkpoint", inputs={}, content=1, details=trained, **common
    )
    evaluated = {
        "headline": 0.5, "benchmark_digest": "b", "key": made.tags[promotion.EVALUATION_TAG],
        "predictions_sha256": made.tags[promotion.SHA_TAG],
    }  # fmt: skip
    report = EvalReport.commit(
        root / "evaluation", inputs={"checkpoint": checkpoint.digest}, content=2,
        details=evaluated, **common,
    )  # fmt: skip
    return checkpoint, report


def test_register_records_the_lineage_and_a_refusal_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage = [
        Part(role="base model", name="Qwen3-VL-2B", license="apache-2.0", commercial_use=True),
        Part(role="teacher", name="VGGT-1B", license="CC-BY-NC-4.0", commercial_use=False),
    ]
    checkpoint, evaluation = artifacts(tmp_path, lineage)
    config = RegisterConfig(store=str(tmp_path / "store"), require_commercial_use=True)
    made = register(config, checkpoint=checkpoint, evaluation=evaluation, output=tmp_path / "v")
    details = made.manifest.details
    assert (details["decision"], details["champion"]) == ("refused", None)
    assert "teacher VGGT-1B (CC-BY-NC-4.0) does not allow it" in details["reason"]
    told = ModelRegistry("geovr").version(1).tags
    assert told["geovr.commercial_use"] == "false"
    assert [part["name"] for part in json.loads(told["geovr.lineage"])] == [
        "Qwen3-VL-2B", "VGGT-1B",
    ]  # fmt: skip
    assert told[promotion.DECISION_TAG].startswith("refused: commercial use is demanded, but")

    # the command holds the version to the profile that it was registered under
    monkeypatch.chdir(tmp_path)
    assert outcome(lambda: app(["promote", "--version", "1"], standalone_mode=False)) == 3
    assert "VGGT-1B (CC-BY-NC-4.0) does not allow it" in capsys.readouterr().err
    assert ModelRegistry("geovr").by_alias(CHAMPION) is None

    # and to its own params file
    config = RegisterConfig(store=str(tmp_path / "store"), model_name="research")
    research = register(config, checkpoint=checkpoint, evaluation=evaluation, output=tmp_path / "v")
    assert research.manifest.details["decision"] == "approved"
    (tmp_path / "params.yaml").write_text(
        "register: {model_name: research, require_commercial_use: true}"
    )
    assert outcome(lambda: app(["promote", "--version", "1"], standalone_mode=False)) == 3
    assert ModelRegistry("research").version(1).tags[promotion.DECISION_TAG].startswith("refused")
    allowed = ["promote", "--version", "1", "--set", "register.require_commercial_use=false"]
    assert outcome(lambda: app(allowed, standalone_mode=False)) == 0
