"""evaluate's geometry: what is written, kept, found again, shared by ranks, and missed by name."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import torch
from moto import mock_aws

from geovr.artifacts import Checkpoint, ClipSet, EvalReport
from geovr.data.clips import read_clip
from geovr.errors import UserError
from geovr.evaluation.asking import Plan, plan
from geovr.evaluation.geometry.config import GeometryConfig
from geovr.evaluation.geometry.measure import NUMBERS, clip_numbers
from geovr.evaluation.geometry.report import GeometryReport
from geovr.evaluation.geometry.run import cut, measure, prepare
from geovr.inspection.heads import Heads
from geovr.inspection.loading import Predictor
from geovr.model.predict import Prediction
from geovr.simulation.truth import read_truth, truth_name
from geovr.stages.evaluate import EvaluateConfig
from geovr.storage import Store
from tests.workspace import Workspace

TRUTH = "data/rooms/ground_truth"
ONCE = {"resamples": 50, "seed": 0}


@pytest.fixture(scope="module")
def clips(flown: Workspace) -> ClipSet:
    return ClipSet.load(flown.root / "artifacts/clips")


@pytest.fixture(scope="module")
def checkpoint(flown: Workspace) -> Checkpoint:
    return Checkpoint.load(flown.root / "artifacts/checkpoint")


@pytest.fixture
def truths(flown: Workspace, tmp_path: Path) -> Path:
    """Ground truth that a test may change."""
    return Path(shutil.copytree(flown.root / TRUTH, tmp_path / "truth"))


def asked(clips: ClipSet, checkpoint: Checkpoint, rows: int = 4) -> Plan:
    return plan(EvaluateConfig(batch_rows=rows), clips, checkpoint)


def run(
    clips: ClipSet,
    checkpoint: Checkpoint,
    truths: Path | str,
    store: Path,
    rows: int = 4,
    most: int = 0,
) -> GeometryReport:
    benchmark = asked(clips, checkpoint, rows)
    config = GeometryConfig(ground_truth=str(truths), clips=most)
    work = prepare(config, benchmark, clips, checkpoint)
    found = measure(work, benchmark, clips, checkpoint, Store.open(str(store)), **ONCE)
    assert found is not None
    return found


def test_evaluate_writes_geometry_and_logs_it(flown: Workspace) -> None:
    report = EvalReport.load(flown.root / "artifacts/evaluation")
    assert "geometry.json" in report.manifest.files
    found = GeometryReport.model_validate_json((report.directory / "geometry.json").read_text())
    assert [clip.clip_id for clip in found.clips] == [f"rooms/test-{n:05d}" for n in range(4)]
    assert not found.failed and found.silent is None and found.left_out == 0
    assert set(found.means) == set(NUMBERS)
    for name, mean in found.means.items():
        values = found.values(name)
        assert mean.value.mean == pytest.approx(values.mean()) and mean.clips == 4
        assert values.min() <= mean.value.low <= mean.value.mean <= mean.value.high <= values.max()
    run_id = flown.manifest("checkpoint")["details"]["mlflow_run_id"]
    with sqlite3.connect(flown.root / ".geovr/mlflow.db") as rows:
        query = "select key, value from metrics where run_uuid = ? and key like 'eval/geometry/%'"
        logged = dict(rows.execute(query, (run_id,)).fetchall())
    assert logged["eval/geometry/ate"] == pytest.approx(found.means["ate"].value.mean)
    assert set(logged) == {f"eval/geometry/{n}" for n in (*NUMBERS, "clips", "clips_failed")}
    place = flown.root / ".geovr/mlflow-artifacts"
    assert list(place.glob(f"*/{run_id}/artifacts/evaluation/geometry.json"))
    whole = list((flown.root / ".geovr/store/evaluation").glob("*/geometry/*/clips.jsonl"))
    assert len(whole) == 1 and not list(whole[0].parent.glob("parts/*"))


def test_the_numbers_are_those_of_clips_predicted_one_by_one(
    flown: Workspace, clips: ClipSet, checkpoint: Checkpoint
) -> None:
    text = (flown.root / "artifacts/evaluation/geometry.json").read_text()
    told = {clip.clip_id: clip for clip in GeometryReport.model_validate_json(text).clips}
    alone = Predictor(checkpoint, clips)
    for row in clips.index[clips.index["split"] == "test"].itertuples(index=False):
        clip = read_clip(clips.store, row)
        said = alone(clip)
        name = truth_name(row.scene)
        truth = read_truth((flown.root / TRUTH / name).read_bytes(), name, clip, "here")
        one = Prediction(
            torch.from_numpy(said.pose_TK), torch.from_numpy(said.depth_THW), said.metric_scale,
            None,
        )  # fmt: skip
        wanted = clip_numbers(one, truth, np.arange(len(clip.frames_THWC)))
        assert told[row.clip_id].numbers == pytest.approx(wanted, rel=1e-3, abs=1e-3)


class Perfect:
    """Heads that know the truth, in half metres."""

    def __init__(self, clips: ClipSet, truths: Path) -> None:
        self.clips, self.truths, self.calls = clips, truths, 0

    def __call__(self, clip_ids: Sequence[str], size: tuple[int, int]) -> list[Prediction]:
        from geovr.geometry.camera import encode_pose, relative_to_first

        self.calls += 1
        said = []
        for row in self.clips.index[self.clips.index["clip_id"].isin(clip_ids)].itertuples():
            clip = read_clip(self.clips.store, row)
            name = truth_name(row.scene)
            truth = read_truth((self.truths / name).read_bytes(), name, clip, "here")
            poses = relative_to_first(truth.camera_from_world_T44)
            poses[:, :3, 3] *= 2
            pose = encode_pose(poses, truth.intrinsics_T33, size)
            said.append(Prediction(pose, 2 * truth.depth_THW, 0.5, None))
        return said

    def places(self, frames: int) -> np.ndarray:
        return np.arange(frames)


def test_heads_that_know_the_truth_make_no_error(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    heads = Perfect(clips, truths)
    monkeypatch.setattr("geovr.inspection.heads.Heads", lambda *_: heads)
    found = run(clips, checkpoint, truths, tmp_path / "store", rows=3)
    assert heads.calls == 2, "four clips, at most three at a time"
    for name, mean in found.means.items():
        wanted = 1.0 if NUMBERS[name].higher else 0.0
        assert mean.value.mean == pytest.approx(wanted, abs=1e-6), name


def test_what_is_measured_is_found_again(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = run(clips, checkpoint, truths, tmp_path / "store")

    def never(*_: Any) -> Any:
        raise AssertionError("the model was loaded again")

    monkeypatch.setattr("geovr.inspection.heads.Heads", never)
    assert run(clips, checkpoint, truths, tmp_path / "store") == first
    # other ground truth is another measurement
    other = truths / "test-00001.safetensors"
    other.unlink()
    with pytest.raises(AssertionError, match="loaded again"):
        run(clips, checkpoint, truths, tmp_path / "store")


def test_parts_that_stand_are_not_predicted_again(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole = run(clips, checkpoint, truths, tmp_path / "whole", rows=1)
    real, asked_for = Heads.__call__, []

    def dies_on_the_third(self: Heads, clip_ids: Sequence[str], size: tuple[int, int]) -> Any:
        asked_for.append(list(clip_ids))
        if len(asked_for) == 3:
            raise KeyboardInterrupt
        return real(self, clip_ids, size)

    monkeypatch.setattr(Heads, "__call__", dies_on_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(clips, checkpoint, truths, tmp_path / "store", rows=1)
    assert len(list((tmp_path / "store").glob("evaluation/*/geometry/*/parts/*"))) == 2
    assert run(clips, checkpoint, truths, tmp_path / "store", rows=1) == whole
    assert [len(clip_ids) for clip_ids in asked_for] == [1] * 5
    assert asked_for[3] == asked_for[2]
    kept = [sorted(p.read_bytes() for p in (tmp_path / s).rglob("clips.jsonl"))
            for s in ("whole", "store")]  # fmt: skip
    assert kept[0] == kept[1] and len(kept[0]) == 1


def test_clips_without_ground_truth_are_counted_by_name(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path
) -> None:
    (truths / "test-00001.safetensors").unlink()
    (truths / "test-00002.safetensors").write_bytes(b"cut")
    other = (truths / "train-00000.safetensors").read_bytes()
    (truths / "test-00003.safetensors").write_bytes(other)
    found = run(clips, checkpoint, truths, tmp_path / "store")
    failures = {clip.clip_id: clip.failure or "" for clip in found.failed}
    assert len(found.clips) == 4 and found.means["ate"].clips == 1
    assert "test-00001.safetensors is missing" in failures["rooms/test-00001"]
    assert "not a ground truth file" in failures["rooms/test-00002"]
    assert "other video bytes" in failures["rooms/test-00003"]
    assert all(str(tmp_path) not in why for why in failures.values()), "paths change a digest"


def test_ground_truth_may_be_on_s3(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    (truths / "test-00002.safetensors").unlink()
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="bucket")
        Store.open("s3://bucket/truth").put_directory("scenes", truths)
        away = run(clips, checkpoint, "s3://bucket/truth/scenes", tmp_path / "away")
    assert away == run(clips, checkpoint, truths, tmp_path / "here")
    assert [clip.clip_id for clip in away.failed] == ["rooms/test-00002"]


def test_so_many_clips_are_taken_evenly(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path
) -> None:
    found = run(clips, checkpoint, truths, tmp_path / "store", most=2)
    assert [clip.clip_id for clip in found.clips] == ["rooms/test-00000", "rooms/test-00003"]
    assert found.left_out == 2


def test_ground_truth_that_is_not_there_is_the_users_mistake(
    clips: ClipSet, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    benchmark = asked(clips, checkpoint)
    for place, why in (("nowhere", "no such directory"), ("", "ground truth of any of the 4")):
        config = GeometryConfig(ground_truth=str(tmp_path / place))
        with pytest.raises(UserError, match=rf"evaluate.geometry.ground_truth: .*{why}"):
            prepare(config, benchmark, clips, checkpoint)
    assert prepare(GeometryConfig(), benchmark, clips, checkpoint) is None


@pytest.mark.parametrize(
    ("details", "objectives", "why"),
    [
        ({"heads_sha256": ""}, {}, "holds no heads"),
        ({}, {"camera": False, "depth": False}, "neither the camera head nor the depth head"),
    ],
)
def test_a_model_without_heads_is_said_to_have_none(
    clips: ClipSet, checkpoint: Checkpoint, truths: Path, tmp_path: Path,
    details: dict[str, Any], objectives: dict[str, Any], why: str,
) -> None:  # fmt: skip
    told = checkpoint.manifest
    config = told.config | {"objectives": told.config["objectives"] | objectives}
    changed = told.model_copy(update={"details": told.details | details, "config": config})
    mute = Checkpoint(checkpoint.directory, changed)
    found = run(clips, mute, truths, tmp_path / "store")
    assert found.silent is not None and why in found.silent
    assert found.clips == () and found.left_out == 4


def test_parts_hold_clips_of_one_size() -> None:
    from types import SimpleNamespace as Row

    rows = [
        Row(clip_id=f"c{n}", height=48 + n % 2, width=64, num_frames=8 + n % 3) for n in range(20)
    ]
    parts = cut(rows, 3)
    assert sorted(row.clip_id for part in parts for row in part) == sorted(
        row.clip_id for row in rows
    )
    assert all(len({(r.height, r.width, r.num_frames) for r in part}) == 1 for part in parts)
    assert max(map(len, parts)) == 3
    assert cut(rows[::-1], 3) == parts


def test_without_ground_truth_there_is_no_geometry(flown: Workspace, tmp_path: Path) -> None:
    own = Workspace(Path(shutil.copytree(flown.root, tmp_path / "own", symlinks=True)))
    before = own.manifest("evaluation")["content_digest"]
    own.inline("evaluate", "--set", "evaluate.geometry={}")
    assert not (own.root / "artifacts/evaluation/geometry.json").exists()
    assert own.manifest("evaluation")["content_digest"] != before
    told = own.inline("evaluate", "--set", "evaluate.geometry.ground_truth=nowhere", code=2)
    assert "evaluate.geometry.ground_truth: nowhere: no such directory" in told
