"""Looking at clips, targets and checkpoints through the command line, and clouds of known rooms."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from geovr.artifacts import ClipSet, TargetSet
from geovr.inspection.cloud import Cloud, camera_centres, make_cloud, world_points, write_ply
from geovr.inspection.loading import Geometry, load_clip, taught
from geovr.inspection.pictures import principal_colours
from geovr.inspection.truth import distance_to_box, room_errors
from tests.workspace import Workspace


@pytest.fixture
def trained(flown: Workspace) -> Workspace:
    return flown


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_clip_is_shown_with_its_questions(trained: Workspace) -> None:
    told = trained.inline("inspect", "clip", "--clip", "train-00001")
    assert "train-00001" in told and "room_size_estimation: What is the size" in told
    shown = picture(trained.root / "clip.png")
    assert min(shown.shape[:2]) > 100 and len(np.unique(shown.reshape(-1, 3), axis=0)) > 200
    wrong = trained.inline("inspect", "clip", "--clip", "train-0001", code=2)
    assert "no such clip among the 12" in wrong and "similar: rooms/train-00001" in wrong


def test_targets_are_shown_in_metres(trained: Workspace) -> None:
    told = json.loads(trained.inline("inspect", "targets", "--json"))
    assert told["source"] == "teacher oracle" and "depth (m)" in told
    low, _, high = told["depth (m)"].split(",")[0].partition(" to ")
    assert 0.1 < float(low) < float(high) < 15
    assert (trained.root / "targets.png").is_file()


def test_a_checkpoint_is_shown_beside_its_teacher(trained: Workspace) -> None:
    told = trained.inline(
        "inspect", "checkpoint", "artifacts/checkpoint", "--targets", "artifacts/targets"
    )
    for name in ("depth AbsRel", "rotation error", "direction error", "scale error"):
        assert name in told
    alone = trained.inline("inspect", "checkpoint", "artifacts/checkpoint")
    assert "AbsRel" not in alone and "camera's way" in alone


def test_what_has_no_heads_is_refused_in_words(trained: Workspace) -> None:
    off = [f"train.objectives.{name}=false" for name in ("camera", "depth", "scale", "features")]
    sets = [word for value in off for word in ("--set", value)]
    trained.inline("train", *sets, "--output", "artifacts/text_only")
    told = trained.inline("inspect", "checkpoint", "artifacts/text_only", code=2)
    assert "without geometric objectives" in told


def test_the_teachers_walls_are_where_the_rooms_are(trained: Workspace) -> None:
    told = trained.inline(
        "reconstruct", "--from", "targets", "--targets", "artifacts/targets", "--clip",
        "train-00002", "--ground-truth", "data/rooms/ground_truth", "--output", "cloud",
        "--drop", "0", "--json",
    )  # fmt: skip
    found = json.loads(told)
    # float16 depth is exact to one part in 2,000; rooms are a few metres
    assert float(found["walls, median error (m)"]) < 0.005
    assert float(found["all points, median error (m)"]) < 0.005
    cloud = trimesh.load(trained.root / "cloud/cloud.ply")
    assert len(cloud.vertices) == found["points"] > 3000
    cameras = json.loads((trained.root / "cloud/cameras.json").read_text())
    assert np.allclose(cameras["cameras"][0]["camera_from_world"], np.eye(4), atol=1e-6)
    assert min(picture(trained.root / "cloud/cloud.png").shape[:2]) > 300


def test_a_checkpoints_own_cloud(trained: Workspace) -> None:
    told = trained.inline(
        "reconstruct", "artifacts/checkpoint", "--clip", "train-00000", "--ground-truth",
        "data/rooms/ground_truth", "--output", "own", "--json",
    )  # fmt: skip
    found = json.loads(told)
    assert found["source"] == "checkpoint"
    assert np.isfinite(float(found["walls, median error (m)"]))
    if importlib.util.find_spec("rerun") is None:
        refused = trained.inline("reconstruct", "artifacts/checkpoint", "--rrd", code=2)
        assert "python rerun-sdk" in refused


def test_errors_grow_with_the_fault(trained: Workspace) -> None:
    """A wrong scale, a wrong way and a wrong turn are each seen in the printed error."""
    clips = ClipSet.load(trained.root / "artifacts/clips")
    targets = TargetSet.load(trained.root / "artifacts/targets")
    clip = load_clip(clips, "train-00003")
    right = taught(targets, clip)
    truth = trained.root / "data/rooms/ground_truth"
    exact = room_errors(right, clip, truth)
    assert exact.points < 0.005
    turned = right.pose_TK.copy()
    turned[1:, 3:7] = turned[1:, [4, 3, 5, 6]]
    scale = right.metric_scale
    assert scale is not None
    for wrong in (
        {"metric_scale": 1.1 * scale},
        {"depth_THW": 0.9 * right.depth_THW},
        {"pose_TK": turned},
        {"pose_TK": right.pose_TK * np.asarray([-1, 1, 1, 1, 1, 1, 1, 1, 1])},
    ):
        changed = Geometry(**{**right.__dict__, **wrong})  # type: ignore[arg-type]
        assert room_errors(changed, clip, truth).points > 10 * max(exact.points, 1e-3)


def test_the_distance_to_a_box_is_that_to_its_mesh() -> None:
    sides = np.asarray([4.0, 6.0, 2.5])
    box = trimesh.creation.box(sides)
    box.apply_translation([0, 0, 1.25])
    points = np.random.default_rng(0).uniform(-5, 5, (500, 3))
    wanted = trimesh.proximity.closest_point_naive(box, points)[1]
    np.testing.assert_allclose(distance_to_box(points, sides), wanted, atol=1e-9)


def plain(depth: np.ndarray, confidence: np.ndarray | None = None) -> Geometry:
    T = len(depth)
    pose = np.tile([0, 0, 0, 0, 0, 0, 1, np.pi / 2, np.pi / 2], (T, 1)).astype(float)
    frames = np.arange(depth.size * 3).reshape(*depth.shape, 3).astype(np.uint8)
    return Geometry("test", frames, pose, depth, 2.0, confidence, None)


def test_points_lie_on_their_rays_at_metric_depth() -> None:
    points = world_points(plain(np.full((1, 2, 2), 1.5)))
    # a field of view of 90 degrees: half a pixel off the centre of a 2x2 image is 0.5 across
    wanted = 3.0 * np.asarray([[[-0.5, -0.5, 1], [0.5, -0.5, 1]], [[-0.5, 0.5, 1], [0.5, 0.5, 1]]])
    np.testing.assert_allclose(points[0], wanted)


def test_far_doubtful_and_crowded_points_are_thinned() -> None:
    depth = np.full((1, 4, 4), 1.0)
    depth[0, 0, 0] = 100
    confidence = np.linspace(0, 1, 16).reshape(1, 4, 4)
    everything = make_cloud(plain(depth), voxel_m=0)
    assert len(everything.points_P3) == 15
    sure = make_cloud(plain(depth, confidence), voxel_m=0, drop_share=0.5)
    assert len(sure.points_P3) == 8
    assert len(make_cloud(plain(depth), voxel_m=50).points_P3) <= 4
    nothing = make_cloud(plain(np.full((1, 4, 4), 1.0)), max_depth_m=0.1)
    assert len(nothing.points_P3) == 0


def test_ply_makes_the_round_trip(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    cloud = Cloud(
        random.normal(size=(50, 3)).astype(np.float32), random.integers(0, 256, (50, 3), np.uint8)
    )
    write_ply(tmp_path / "c.ply", cloud)
    read = trimesh.load(tmp_path / "c.ply")
    np.testing.assert_array_equal(np.asarray(read.vertices, np.float32), cloud.points_P3)
    np.testing.assert_array_equal(read.colors[:, :3], cloud.colours_P3)


def test_a_camera_that_walks_ahead_stands_ahead() -> None:
    geometry = plain(np.ones((2, 2, 2)))
    geometry.pose_TK[1, 2] = -1.5  # the world comes 1.5 units nearer
    np.testing.assert_allclose(camera_centres(geometry), [[0, 0, 0], [0, 0, 3.0]])


def test_principal_colours_follow_the_main_direction() -> None:
    ramp = np.linspace(0, 1, 24).reshape(1, 4, 6, 1)
    features = ramp * np.asarray([3.0, -1.0, 2.0, 0.5]) + 1e-3 * np.random.default_rng(0).normal(
        size=(1, 4, 6, 4)
    )
    colours = principal_colours(features)
    assert colours.shape == (1, 4, 6, 3) and colours.min() >= 0 and colours.max() <= 1
    assert abs(np.corrcoef(colours[..., 0].ravel(), ramp.ravel())[0, 1]) > 0.99
