"""The oracle and extract_targets: exact, resumable, and clear about what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from geovr.artifacts import ClipSet, TargetSet
from geovr.data.targets import read_targets
from geovr.errors import GateRefused, UserError
from geovr.geometry.camera import decode_pose
from geovr.geometry.depth import unproject
from geovr.stages.check_targets import CheckTargetsConfig, check_targets
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from tests.workspace import Workspace


@pytest.fixture
def clips(workspace: Workspace) -> ClipSet:
    data = workspace.root / "data/rooms"
    sources = [
        {"path": str(data / f"{split}_questions.jsonl"), "split": split}
        for split in ("train", "test")
    ]
    config = IngestConfig(
        store=str(workspace.root / "store"), videos=str(data / "videos"), questions=sources
    )
    return ingest(config, output=workspace.root / "clips")


def extract(workspace: Workspace, clips: ClipSet, store: str = "store") -> TargetSet:
    config = ExtractTargetsConfig(
        store=str(workspace.root / store),
        oracle={"ground_truth": str(workspace.root / "data/rooms/ground_truth")},
    )
    return extract_targets(config, clips=clips, output=workspace.root / "targets")


def truth_of(workspace: Workspace, scene: str) -> Path:
    return workspace.root / f"data/rooms/ground_truth/{scene}.safetensors"


def test_targets_times_their_scale_are_the_ground_truth(
    workspace: Workspace, clips: ClipSet
) -> None:
    targets = extract(workspace, clips)
    assert targets.manifest.counts == {"clips_in": 12, "targets": 8, "clips_of_other_splits": 4}
    for row in targets.index.itertuples(index=False):
        said = read_targets(targets.store, row)
        truth = load_file(truth_of(workspace, row.clip_id.split("/")[1]))
        np.testing.assert_allclose(
            said.depth_THW * said.metric_scale, truth["depth_NHW"], rtol=2e-3
        )
        assert said.metric_scale == pytest.approx(truth["depth_NHW"].mean(), rel=1e-5)
        H, W = said.depth_THW.shape[1:]
        poses, intrinsics = decode_pose(torch.from_numpy(said.pose_encoding_TK).double(), (H, W))
        np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-6)
        np.testing.assert_allclose(intrinsics, truth["intrinsics_N33"], rtol=1e-4)
        # points of the last frame, by what the teacher says and by the truth, are the same points
        ours = unproject(torch.from_numpy(said.depth_THW).double(), intrinsics, poses)[-1]
        world = torch.from_numpy(truth["camera_from_world_N44"]).double()
        depth = torch.from_numpy(truth["depth_NHW"]).double()
        theirs = unproject(depth, intrinsics, world)[-1] @ world[0, :3, :3].T + world[0, :3, 3]
        np.testing.assert_allclose(ours * said.metric_scale, theirs, atol=0.02)


def test_a_rerun_asks_the_teacher_only_about_what_is_new(
    workspace: Workspace, clips: ClipSet
) -> None:
    first = extract(workspace, clips)
    assert first.manifest.details["teacher_calls"] == 8
    again = extract(workspace, clips)
    assert (again.manifest.details["teacher_calls"], again.digest) == (0, first.digest)
    assert extract(workspace, clips, store="elsewhere").digest == first.digest
    path = truth_of(workspace, "train-00002")
    truth = load_file(path)
    truth["depth_NHW"] = truth["depth_NHW"] * 1.5
    save_file(truth, path)
    assert extract(workspace, clips).manifest.details["teacher_calls"] == 1
    damaged = workspace.root / "store" / first.index["object_key"].iloc[0]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 4
    damaged.write_bytes(data)
    assert extract(workspace, clips).manifest.details["teacher_calls"] == 1


def test_missing_ground_truth_names_clip_file_and_remedy(
    workspace: Workspace, clips: ClipSet
) -> None:
    truth_of(workspace, "train-00001").unlink()
    with pytest.raises(UserError) as error:
        extract(workspace, clips)
    for part in ("rooms/train-00001", "train-00001.safetensors is missing", "ground_truth"):
        assert part in str(error.value)


def test_a_split_without_clips_is_the_users_mistake(workspace: Workspace, clips: ClipSet) -> None:
    config = ExtractTargetsConfig(
        store=str(workspace.root / "store"), oracle={"ground_truth": "x"}, splits=("validation",)
    )
    (workspace.root / "x").mkdir()
    config = config.model_copy(
        update={"oracle": config.oracle.model_copy(update={"ground_truth": str(workspace.root)})}
    )
    with pytest.raises(UserError, match="no clip belongs to validation"):
        extract_targets(config, clips=clips, output=workspace.root / "targets")


@pytest.mark.parametrize(
    "spoil, why",
    [
        ({"depth_NHW": np.nan}, "Depth is a finite number everywhere"),
        ({"depth_NHW": -1.0}, "Surfaces lie in front of the camera"),
    ],
)
def test_the_gate_names_the_clip_with_bad_depth(
    workspace: Workspace, clips: ClipSet, spoil: dict[str, float], why: str
) -> None:
    path = truth_of(workspace, "train-00005")
    truth = load_file(path)
    for name, value in spoil.items():
        truth[name] = truth[name].copy()
        truth[name][1, 3, 4] = value
    save_file(truth, path)
    targets = extract(workspace, clips)
    config = CheckTargetsConfig(store=str(workspace.root / "store"))
    with pytest.raises(GateRefused) as error:
        check_targets(config, clips=clips, targets=targets, output=workspace.root / "report")
    assert why in str(error.value) and "rooms/train-00005" in str(error.value)
    assert "rooms/train-00004" not in str(error.value)


@pytest.mark.fault(28)
def test_missing_and_broken_targets_are_refused(workspace: Workspace, clips: ClipSet) -> None:
    targets = extract(workspace, clips)
    objects = list(targets.index["object_key"])
    (workspace.root / "store" / objects[3]).unlink()
    config = CheckTargetsConfig(store=str(workspace.root / "store"))
    with pytest.raises(GateRefused, match="The object is in the store and whole"):
        check_targets(config, clips=clips, targets=targets, output=workspace.root / "report")
