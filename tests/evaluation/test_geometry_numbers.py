"""A clip's numbers: the truth fed in has no error, known faults have known ones, both presets."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.spatial.transform import Rotation

from geovr.data.clips import Clip
from geovr.errors import UserError
from geovr.evaluation.geometry.measure import (
    NUMBERS,
    NotMeasured,
    clip_numbers,
    constant_numbers,
)
from geovr.evaluation.geometry.report import ClipGeometry, make_report, metrics
from geovr.geometry.depth_errors import ALIGNMENTS
from geovr.model.predict import Prediction
from geovr.simulation.record import read_record, truth_path
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.simulation.truth import SceneTruth, read_truth, truth_name
from geovr.teachers.config import OracleConfig
from geovr.teachers.oracle import Oracle

SCENE = "test-00000"


@pytest.fixture(scope="module", params=["demo", "rooms"])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp(request.param)
    simulate(
        SimulateConfig(
            preset=request.param, output=output, train_scenes=0, test_scenes=1, size="64x48",
            frames=8, processes=1,
        )
    )  # fmt: skip
    return output


@pytest.fixture(scope="module")
def clip(rendered: Path) -> Clip:
    """Every other frame, as a sampler takes them."""
    record = read_record(truth_path(rendered, SCENE))
    assert record is not None
    places = np.arange(0, 8, 2)
    frames = np.zeros((len(places), 48, 64, 3), np.uint8)
    return Clip(f"rooms/{SCENE}", SCENE, record["video_sha256"], frames, places / 2, places, True)


@pytest.fixture(scope="module")
def truth(rendered: Path, clip: Clip) -> SceneTruth:
    path = truth_path(rendered, SCENE)
    return read_truth(path.read_bytes(), path.name, clip, "here")


@pytest.fixture(scope="module")
def said(rendered: Path, clip: Clip) -> Prediction:
    """What a student says that has learnt the oracle by heart, in the oracle's unit."""
    (told,) = Oracle(OracleConfig(ground_truth=str(rendered / "ground_truth")))([clip])
    return Prediction(
        torch.from_numpy(told.pose_encoding_TK), torch.from_numpy(told.depth_THW),
        told.metric_scale, None,
    )  # fmt: skip


EVERY = np.arange(4)


def test_the_oracle_has_no_error(said: Prediction, truth: SceneTruth) -> None:
    found = clip_numbers(said, truth, EVERY)
    assert set(found) == set(NUMBERS)
    perfect = {name for name, number in NUMBERS.items() if number.higher}
    for name, value in found.items():
        # the oracle speaks in float32
        tolerance = 0.02 if name.endswith("_deg") else 2e-3 if name.startswith("auc") else 1e-5
        assert value == pytest.approx(float(name in perfect), abs=tolerance), name


@pytest.mark.parametrize("factor", [0.5, 1.1, 3.0])
def test_a_wrong_scale_is_seen_where_metres_count(
    said: Prediction, truth: SceneTruth, factor: float
) -> None:
    assert said.metric_scale is not None
    found = clip_numbers(replace(said, metric_scale=factor * said.metric_scale), truth, EVERY)
    assert found["abs_rel"] == pytest.approx(abs(factor - 1), rel=1e-4)
    assert found["delta1"] == float(1 / 1.25 < factor < 1.25)
    assert found["scale_log_error"] == pytest.approx(abs(math.log(factor)), rel=1e-4)
    assert found["scale_relative_error"] == pytest.approx(abs(factor - 1), rel=1e-4)
    assert found["ate"] < 1e-5 < found["ate_rigid"]
    for alignment in ALIGNMENTS[1:]:
        assert found[f"abs_rel_{alignment}"] < 1e-5 and found[f"delta1_{alignment}"] == 1


@pytest.mark.parametrize("angle", [5.0, 60.0])
def test_a_turn_is_seen_in_degrees(said: Prediction, truth: SceneTruth, angle: float) -> None:
    assert said.pose_encoding_TK is not None
    pose = said.pose_encoding_TK.double().clone()
    turn = Rotation.from_rotvec([0.0, math.radians(angle), 0.0])
    # the last camera looks elsewhere, from where it was: three of six pairs
    pose[-1, 3:7] = torch.from_numpy((turn * Rotation.from_quat(pose[-1, 3:7])).as_quat())
    pose[-1, :3] = torch.from_numpy(turn.apply(pose[-1, :3]))
    found = clip_numbers(replace(said, pose_encoding_TK=pose), truth, EVERY)
    assert found["rotation_deg"] == pytest.approx(angle / 2, abs=0.02)
    assert found["rpe_rotation_deg"] == pytest.approx(angle / math.sqrt(3), abs=0.02)
    assert found["direction_deg"] < 0.02 and found["ate"] < 1e-5
    area = [(1 + max(0.0, 1 - angle / degrees)) / 2 for degrees in (5, 15, 30)]
    assert [found[f"auc_{d}"] for d in (5, 15, 30)] == pytest.approx(area, abs=5e-3)


def test_what_the_model_does_not_say_is_left_out(said: Prediction, truth: SceneTruth) -> None:
    metres = {"abs_rel", "rmse", "delta1", "ate_rigid", "scale_log_error", "scale_relative_error"}
    scaleless = clip_numbers(replace(said, metric_scale=None), truth, EVERY)
    assert set(NUMBERS) - set(scaleless) == metres
    depthless = clip_numbers(replace(said, depth_THW=None), truth, EVERY)
    assert {NUMBERS[name].part for name in depthless} == {"camera"}
    poseless = clip_numbers(replace(said, pose_encoding_TK=None), truth, EVERY)
    assert {NUMBERS[name].part for name in poseless} == {"depth", "scale"}


def test_heads_that_speak_of_every_other_frame(said: Prediction, truth: SceneTruth) -> None:
    assert said.pose_encoding_TK is not None and said.depth_THW is not None
    places = np.asarray([0, 2])
    half = replace(
        said, pose_encoding_TK=said.pose_encoding_TK[places], depth_THW=said.depth_THW[places]
    )
    found = clip_numbers(half, truth, places)
    assert found["abs_rel"] < 1e-5 and found["rotation_deg"] < 0.02


def test_a_smaller_depth_is_brought_to_the_size_of_the_truth(truth: SceneTruth) -> None:
    flat = replace(truth, depth_THW=torch.full_like(truth.depth_THW, 2.5))
    small = Prediction(None, torch.full((4, 12, 16), 2.5), 1.0, None)
    assert clip_numbers(small, flat, EVERY)["rmse"] < 1e-9
    # a ramp across stays a ramp, but for its ends
    ramp = flat.depth_THW * 0 + torch.arange(64) + 10.0
    coarse = torch.nn.functional.interpolate(ramp[None], (12, 16), mode="area")[0]
    found = clip_numbers(Prediction(None, coarse, 1.0, None), replace(flat, depth_THW=ramp), EVERY)
    assert found["abs_rel"] < 0.01


def spoilt(said: Prediction, **places: float) -> Prediction:
    pose, depth = said.pose_encoding_TK, said.depth_THW
    assert pose is not None and depth is not None
    pose, depth = pose.clone(), depth.clone()
    if "pose" in places:
        pose[1, 0] = places["pose"]
    if "quaternion" in places:
        pose[1, 3:7] = places["quaternion"]
    if "depth" in places:
        depth[1, 2, 3:5] = places["depth"]
    return replace(
        said, pose_encoding_TK=pose, depth_THW=depth,
        metric_scale=places.get("scale", said.metric_scale),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"depth": math.nan}, "no finite number at 2 pixels"),
        ({"depth": math.inf}, "no finite number at 2 pixels"),
        ({"pose": math.nan}, "no finite number"),
        ({"quaternion": 0.0}, "quaternion of length zero"),
        ({"scale": math.nan}, "scale is nan"),
        ({"scale": 0.0}, "scale is 0.0"),
    ],
)
def test_a_prediction_that_is_no_number_is_named(
    said: Prediction, truth: SceneTruth, fault: dict[str, float], why: str
) -> None:
    with pytest.raises(NotMeasured, match=why):
        clip_numbers(spoilt(said, **fault), truth, EVERY)


def test_ground_truth_without_any_depth_is_named(said: Prediction, truth: SceneTruth) -> None:
    nothing = replace(truth, depth_THW=torch.zeros_like(truth.depth_THW))
    with pytest.raises(NotMeasured, match="no pixel with a depth"):
        clip_numbers(said, nothing, EVERY)


def test_a_camera_that_rests_has_no_direction_and_no_path(
    said: Prediction, truth: SceneTruth
) -> None:
    still = replace(truth, camera_from_world_T44=truth.camera_from_world_T44[:1].repeat(4, 1, 1))
    found = clip_numbers(said, still, EVERY)
    assert not {"direction_deg", "ate", "rpe_translation"} & set(found)
    assert {"rotation_deg", "rpe_rotation_deg", "auc_30", "ate_rigid"} <= set(found)


def test_one_frame_has_depth_alone(said: Prediction, truth: SceneTruth) -> None:
    assert said.pose_encoding_TK is not None and said.depth_THW is not None
    one = replace(said, pose_encoding_TK=said.pose_encoding_TK[:1], depth_THW=said.depth_THW[:1])
    found = clip_numbers(one, truth, EVERY[:1])
    assert {NUMBERS[name].part for name in found} == {"depth", "scale"}


def test_the_constant_guess_is_a_plane_and_a_camera_at_rest(truth: SceneTruth) -> None:
    found = constant_numbers(truth, EVERY)
    depth = truth.depth_THW.numpy()
    assert found["abs_rel_median"] == pytest.approx(np.abs(np.median(depth) / depth - 1).mean())
    assert found["rmse_least_squares"] == pytest.approx(depth.std())
    assert found["direction_deg"] == 90 and found["auc_30"] == 0
    assert "abs_rel" not in found, "a guess knows no metres"


def test_files_that_are_no_ground_truth_of_the_clip_are_refused(
    rendered: Path, clip: Clip, tmp_path: Path
) -> None:
    path = truth_path(rendered, SCENE)
    whole = path.read_bytes()
    copied = tmp_path / truth_name(SCENE)
    save_file({"depth_NHW": load_file(path)["depth_NHW"]}, copied)
    cases: list[tuple[bytes, Clip, str]] = [
        (whole[: len(whole) // 2], clip, "not a ground truth file"),
        (b"", clip, "not a ground truth file"),
        (copied.read_bytes(), clip, "camera_from_world_N44"),
        (whole, replace(clip, video_sha256="0" * 64), "other video bytes"),
        (whole, replace(clip, frame_indices_T=np.asarray([9])), "knows 8 frames"),
    ]
    for data, asked, why in cases:
        with pytest.raises(UserError, match=why):
            read_truth(data, path.name, asked, "here")


def clip_of(number: int, scene: str, **numbers: float) -> ClipGeometry:
    return ClipGeometry(clip_id=f"c{number}", scene=scene, numbers=numbers, constant={"ate": 2.0})


def report(clips: list[ClipGeometry], **values: Any) -> Any:
    return make_report(clips, **({"left_out": 0, "resamples": 500, "seed": 0} | values))


def test_means_are_over_the_clips_that_have_a_number() -> None:
    failed = ClipGeometry(clip_id="c9", scene="z", failure="why")
    clips = [
        clip_of(1, "a", ate=1.0, auc_30=0.5),
        clip_of(2, "a", ate=2.0),
        clip_of(3, "b", ate=6.0),
    ]
    found = report([*clips, failed], left_out=5)
    assert found.means["ate"].value.mean == 3 and found.means["ate"].clips == 3
    assert found.means["ate"].value.low == 1.5 and found.means["ate"].value.high == 6
    assert found.means["ate"].constant == 2
    assert found.means["auc_30"].clips == 1 and found.means["auc_30"].constant is None
    assert [clip.clip_id for clip in found.failed] == ["c9"] and found.left_out == 5
    assert [c.clip_id for c, _ in found.worst("ate", 2)] == ["c3", "c2"]
    assert found.worst("auc_30", 5)[0][1] == 0.5
    assert metrics(found) == {
        "eval/geometry/ate": 3.0, "eval/geometry/auc_30": 0.5, "eval/geometry/clips": 4.0,
        "eval/geometry/clips_failed": 1.0,
    }  # fmt: skip


def test_nothing_measured_has_no_means() -> None:
    found = report([ClipGeometry(clip_id="c", scene="s", failure="why")])
    assert found.means == {} and len(found.failed) == 1
    assert metrics(None) == {}
