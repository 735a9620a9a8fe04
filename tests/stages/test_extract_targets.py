"""The oracle and extract_targets: exact, resumable, and clear about what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from geovr.artifacts import ClipSet, TargetSet
from geovr.data.objects import BrokenObject, seal, unseal
from geovr.data.targets import (
    GROUP,
    GeometryTargets,
    decode,
    dequantise,
    encode,
    quantise,
    read_targets,
)
from geovr.errors import GateRefused, UserError
from geovr.geometry.camera import decode_pose
from geovr.geometry.depth import unproject
from geovr.stages.check_targets import CheckTargetsConfig, check_targets
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from tests.workspace import Workspace

RANDOM = np.random.default_rng(1)


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


def test_missing_and_broken_targets_are_refused(workspace: Workspace, clips: ClipSet) -> None:
    targets = extract(workspace, clips)
    objects = list(targets.index["object_key"])
    (workspace.root / "store" / objects[3]).unlink()
    config = CheckTargetsConfig(store=str(workspace.root / "store"))
    with pytest.raises(GateRefused, match="The object is in the store and whole"):
        check_targets(config, clips=clips, targets=targets, output=workspace.root / "report")


@pytest.mark.parametrize("channels", [GROUP, 3 * GROUP, 40, 100])
def test_eight_bits_turn_features_by_less_than_a_ten_thousandth(channels: int) -> None:
    features = RANDOM.normal(size=(4, 3, 2, channels)).astype(np.float32)
    features[..., 3] *= 8  # outlier channels are what real features have
    features[0, 0] = 0
    back = dequantise(*quantise(features))
    cosine = (features * back).sum(-1) / np.maximum(
        np.linalg.norm(features, axis=-1) * np.linalg.norm(back, axis=-1), 1e-9
    )
    assert (1 - cosine[1:]).max() < 3e-4 and (1 - cosine[1:]).mean() < 1e-4
    assert (back[0, 0] == 0).all()


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 200),
    exponent=st.floats(-3, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_dense_features_turn_by_less_than_a_ten_thousandth(
    channels: int, exponent: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    features = (random.normal(size=(50, channels)) * 10**exponent).astype(np.float32)
    values, scales = quantise(features)
    assert values.shape == features.shape and scales.shape == (50, -(-channels // GROUP))
    back = dequantise(values, scales)
    assert (1 - cosines(features, back)).max() < 1e-4


def test_one_channel_that_outweighs_all_others_is_the_worst_case() -> None:
    """All others just below half a step are lost: 63 / 254^2 / 2 of the cosine."""
    features = np.full((1, 2 * GROUP), 0.4999 / 127, dtype=np.float32)
    features[:, ::GROUP] = 1
    back = dequantise(*quantise(features))
    assert 1e-4 < (1 - cosines(features, back)).max() < 5e-4


def test_bad_features_stay_bad() -> None:
    """A NaN must reach check_targets, not become a number in int8."""
    features = RANDOM.normal(size=(2, GROUP)).astype(np.float32)
    features[1, 5] = np.nan
    with np.errstate(invalid="ignore"):
        back = dequantise(*quantise(features))
    assert np.isfinite(back[0]).all() and np.isnan(back[1]).any()


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    found: np.ndarray = (one * other).sum(-1) / norms
    return found


SEALED = seal(
    {
        "depth_THW": RANDOM.normal(size=(2, 3, 4)).astype(np.float16),
        "steps": np.arange(6, dtype=np.int8),
    }
)


@pytest.mark.parametrize("bit", [0, 3, 5, 7])
def test_every_byte_of_an_object_is_sealed(bit: int) -> None:
    """Blanks that pad the header mean nothing and may change to other blanks; nothing else may."""
    originals = unseal(SEALED)
    for place in range(len(SEALED)):
        changed = bytearray(SEALED)
        changed[place] ^= 1 << bit
        try:
            tensors = unseal(bytes(changed))
        except BrokenObject:
            continue
        assert SEALED[place : place + 1] == b" ", f"byte {place} is not sealed"
        assert set(tensors) == set(originals)
        assert all(tensors[name].tobytes() == originals[name].tobytes() for name in originals)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_object(data: bytes) -> None:
    with pytest.raises(BrokenObject):
        unseal(data)


@pytest.mark.parametrize("kept", [0, 7, 8, 60, len(SEALED) - 1])
def test_a_cut_object_is_broken_and_so_is_one_with_more_behind(kept: int) -> None:
    with pytest.raises(BrokenObject):
        unseal(SEALED[:kept])
    with pytest.raises(BrokenObject):
        unseal(SEALED + b"x")


def test_objects_make_the_round_trip_and_notice_any_changed_byte() -> None:
    targets = GeometryTargets(
        pose_encoding_TK=RANDOM.normal(size=(2, 9)).astype(np.float32),
        depth_THW=RANDOM.uniform(0.5, 2, (2, 3, 4)).astype(np.float32),
        confidence_THW=np.ones((2, 3, 4), dtype=np.float32),
        metric_scale=2.5,
        metric_scale_valid=False,
        features_NTHWC=RANDOM.normal(size=(4, 2, 1, 2, 64)).astype(np.float32),
    )
    data = encode(targets)
    assert encode(targets) == data
    back = decode(data)
    np.testing.assert_array_equal(back.pose_encoding_TK, targets.pose_encoding_TK)
    np.testing.assert_allclose(back.depth_THW, targets.depth_THW, rtol=1e-3)
    assert (back.metric_scale, back.metric_scale_valid) == (2.5, False)
    originals = unseal(data)
    noticed = 0
    for place in RANDOM.integers(0, len(data), 200):
        changed = bytearray(data)
        changed[place] ^= 0x20
        try:
            tensors = unseal(bytes(changed))
        except BrokenObject:
            noticed += 1
            continue
        # blanks of the header may change without a meaning
        assert set(tensors) == set(originals)
        assert all(np.array_equal(tensors[name], originals[name]) for name in originals)
    assert noticed > 180
