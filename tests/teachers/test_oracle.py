"""The oracle says what the ground truth says, and nothing of what the video looks like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.spatial.transform import Rotation

from geovr.data.clips import Clip
from geovr.data.targets import GeometryTargets, decode, encode
from geovr.errors import UserError
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.teachers.config import OracleConfig
from geovr.teachers.oracle import Oracle


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rooms")
    simulate(SimulateConfig(preset="demo", output=root, train_scenes=2, test_scenes=1, processes=1))
    return root


@pytest.fixture
def truths(rooms: Path, tmp_path: Path) -> Path:
    """A copy of the ground truth that a test may change."""
    target = tmp_path / "ground_truth"
    target.mkdir()
    for path in (rooms / "ground_truth").iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def oracle(truths: Path, **values: int) -> Oracle:
    return Oracle(OracleConfig(ground_truth=str(truths), **values))


def record(path: Path) -> dict[str, str]:
    with safe_open(path, framework="np") as file:
        found: dict[str, str] = json.loads(file.metadata()["record"])
    return found


def clip_of(truths: Path, scene: str = "train-00000", every: int = 1) -> Clip:
    """What ingest would make of a scene's video."""
    path = truths / f"{scene}.safetensors"
    indices = np.arange(0, len(load_file(path)["depth_NHW"]), every)
    frames = np.random.default_rng(0).integers(0, 255, (len(indices), 48, 64, 3), dtype=np.uint8)
    sha256 = record(path)["video_sha256"]
    return Clip(f"rooms/{scene}", scene, sha256, frames, indices / 2.0, indices, True)


def change(truths: Path, scene: str = "train-00000", **tensors: np.ndarray) -> None:
    """Replace tensors of a scene's ground truth, and keep its record."""
    path = truths / f"{scene}.safetensors"
    kept = {"record": json.dumps(record(path))}
    save_file(load_file(path) | tensors, path, metadata=kept)


def say(truths: Path, clip: Clip) -> GeometryTargets:
    (said,) = oracle(truths)([clip])
    return said


def test_scale_times_unit_depth_is_metric_depth_and_poses_follow(truths: Path) -> None:
    clip = clip_of(truths, every=2)
    said = say(truths, clip)
    truth = load_file(truths / "train-00000.safetensors")
    depth = truth["depth_NHW"][clip.frame_indices_T].astype(np.float64)
    assert said.metric_scale_valid and said.depth_THW.mean() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(said.depth_THW * said.metric_scale, depth, rtol=1e-6)
    assert (said.confidence_THW == 1).all()
    world = truth["camera_from_world_N44"][clip.frame_indices_T].astype(np.float64)
    np.testing.assert_allclose(said.pose_encoding_TK[0, :7], [0, 0, 0, 0, 0, 0, 1], atol=1e-6)
    for pose, extrinsics in zip(said.pose_encoding_TK.astype(np.float64), world, strict=True):
        relative = extrinsics @ np.linalg.inv(world[0])
        np.testing.assert_allclose(pose[:3] * said.metric_scale, relative[:3, 3], atol=1e-5)
        ours = Rotation.from_quat(pose[3:7])
        assert (ours.inv() * Rotation.from_matrix(relative[:3, :3])).magnitude() < 1e-5


def test_twice_as_large_a_world_differs_in_scale_alone(truths: Path) -> None:
    clip = clip_of(truths)
    one = say(truths, clip)
    truth = load_file(truths / "train-00000.safetensors")
    poses = truth["camera_from_world_N44"].copy()
    poses[:, :3, 3] *= 2
    change(truths, camera_from_world_N44=poses, depth_NHW=truth["depth_NHW"] * 2)
    two = say(truths, clip)
    assert two.metric_scale == pytest.approx(2 * one.metric_scale)
    np.testing.assert_allclose(two.depth_THW, one.depth_THW, rtol=1e-6)
    np.testing.assert_allclose(two.pose_encoding_TK, one.pose_encoding_TK, atol=1e-6)
    np.testing.assert_allclose(two.features_NTHWC, one.features_NTHWC, atol=1e-5)


def test_neither_colours_nor_categories_enter(truths: Path) -> None:
    clip = clip_of(truths)
    before = encode(say(truths, clip))
    truth = load_file(truths / "train-00000.safetensors")
    geometry = ("camera_from_world_N44", "intrinsics_N33", "depth_NHW")
    others = {name: np.zeros_like(value) for name, value in truth.items() if name not in geometry}
    assert others, "the ground truth holds instances too"
    change(truths, **others)
    assert encode(say(truths, replace(clip, frames_THWC=255 - clip.frames_THWC))) == before


def test_features_are_unit_vectors_that_tell_places_and_scenes_apart(truths: Path) -> None:
    one, other = say(truths, clip_of(truths)), say(truths, clip_of(truths, "train-00001"))
    features = one.features_NTHWC
    assert features.shape == (4, len(one.depth_THW), 3, 4, 64)
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1, atol=1e-5)
    levels = features.reshape(4, -1, 64)
    assert all((level @ level.T).min() < 0.9 for level in levels)
    assert np.abs(levels[0] - levels[3]).max() > 0.1
    assert np.abs(features - other.features_NTHWC).max() > 0.1


def test_features_have_the_shape_that_was_asked_for(truths: Path) -> None:
    (said,) = oracle(truths, feature_dim=40, feature_cell=8)([clip_of(truths)])
    assert said.features_NTHWC.shape[2:] == (6, 8, 40)
    assert decode(encode(said)).features_NTHWC.shape == said.features_NTHWC.shape
    wide = oracle(truths, feature_cell=500)([clip_of(truths)])[0]
    assert wide.features_NTHWC.shape[2:4] == (1, 1)
    assert oracle(truths, feature_cell=8).key() != oracle(truths).key()


def test_the_key_names_no_place(truths: Path, rooms: Path) -> None:
    assert oracle(truths).key() == oracle(rooms / "ground_truth").key()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_depth_stays_where_it_is(truths: Path, bad: float) -> None:
    clip = clip_of(truths)
    before = say(truths, clip)
    depth = load_file(truths / "train-00000.safetensors")["depth_NHW"].copy()
    depth[1, 3, 4] = bad
    change(truths, depth_NHW=depth)
    said = decode(encode(say(truths, clip)))
    wrong = ~np.isfinite(said.depth_THW)
    assert wrong.sum() == 1 and wrong[1, 3, 4]
    assert said.confidence_THW[1, 3, 4] == 0 and said.confidence_THW.sum() == wrong.size - 1
    assert said.metric_scale_valid and said.metric_scale == pytest.approx(before.metric_scale, 0.01)
    assert np.isfinite(said.pose_encoding_TK).all()
    assert np.isfinite(said.features_NTHWC).all()


@pytest.mark.fault(39)
def test_depth_without_one_number_has_no_scale(truths: Path) -> None:
    depth = load_file(truths / "train-00000.safetensors")["depth_NHW"]
    change(truths, depth_NHW=np.full_like(depth, np.nan))
    said = decode(encode(say(truths, clip_of(truths))))
    assert not said.metric_scale_valid and said.metric_scale == 1
    assert np.isnan(said.depth_THW).all()


def test_a_single_frame_is_enough(truths: Path) -> None:
    clip = clip_of(truths)
    one = replace(clip, frame_indices_T=clip.frame_indices_T[2:3], frames_THWC=clip.frames_THWC[:1])
    said = say(truths, one)
    assert len(said.depth_THW) == 1
    np.testing.assert_allclose(said.pose_encoding_TK[0, :7], [0, 0, 0, 0, 0, 0, 1], atol=1e-7)


def test_missing_ground_truth_names_clip_file_and_remedy(truths: Path) -> None:
    clip = clip_of(truths)
    path = truths / "train-00000.safetensors"
    path.unlink()
    for ask in (oracle(truths).clip_inputs_digest, lambda clip: oracle(truths)([clip])):
        with pytest.raises(UserError) as error:
            ask(clip)
        for part in ("rooms/train-00000", str(path), "extract_targets.oracle.ground_truth"):
            assert part in str(error.value)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such"):
        oracle(tmp_path / "nowhere")


def test_ground_truth_of_a_shorter_video_is_refused(truths: Path) -> None:
    clip = clip_of(truths)
    truth = load_file(truths / "train-00000.safetensors")
    change(truths, **{name: value[:3] for name, value in truth.items()})
    with pytest.raises(UserError, match=r"knows 3 frames.*rooms/train-00000.*another video"):
        say(truths, clip)


def test_ground_truth_of_another_video_of_the_same_name_is_refused(truths: Path) -> None:
    """Two simulated sets name their scenes alike; lengths agree, geometry doesn't."""
    clip = clip_of(truths)
    other = (truths / "train-00001.safetensors").read_bytes()
    (truths / "train-00000.safetensors").write_bytes(other)
    with pytest.raises(UserError, match=r"other video bytes.*rooms/train-00000.*another video"):
        say(truths, clip)


def test_ground_truth_without_a_record_is_believed(truths: Path) -> None:
    """A user's own ground truth has no record of ours."""
    clip = clip_of(truths)
    before = encode(say(truths, clip))
    path = truths / "train-00000.safetensors"
    save_file(load_file(path), path)
    assert encode(say(truths, clip)) == before


@pytest.mark.parametrize("kept", [0, 5, 2000])
def test_a_broken_file_is_named_with_a_remedy(truths: Path, kept: int) -> None:
    clip = clip_of(truths)
    path = truths / "train-00000.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError) as error:
        say(truths, clip)
    for part in (str(path), "rooms/train-00000", "geovr simulate"):
        assert part in str(error.value)


def test_a_file_that_lacks_a_tensor_is_named(truths: Path) -> None:
    clip = clip_of(truths)
    path = truths / "train-00000.safetensors"
    truth = load_file(path)
    del truth["intrinsics_N33"]
    save_file(truth, path)
    with pytest.raises(UserError, match="intrinsics_N33"):
        say(truths, clip)


def test_equal_clips_give_equal_bytes_on_any_number_of_threads(truths: Path) -> None:
    clip = clip_of(truths)
    before = torch.get_num_threads()
    try:
        said = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            said.append(encode(say(truths, clip)))
    finally:
        torch.set_num_threads(before)
    assert said[0] == said[1]
