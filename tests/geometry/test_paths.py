"""Pairs of frames and whole paths: known turns and moves, scipy's alignment, evo's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from geovr.geometry.camera import camera_centres, extrinsics_of
from geovr.geometry.errors import PairErrors, pair_errors, pose_auc, vector_angle_deg
from geovr.geometry.trajectory import path_errors, umeyama

T = 12


def poses(centres_T3: np.ndarray, world_from_camera: Rotation) -> torch.Tensor:
    """Pose encodings of cameras that stand and look like this."""
    camera_from_world = world_from_camera.inv()
    moved = -camera_from_world.apply(centres_T3)
    fov = np.ones((len(centres_T3), 2))
    return torch.from_numpy(np.concatenate([moved, camera_from_world.as_quat(), fov], axis=1))


def walk(seed: int = 0, frames: int = T) -> tuple[np.ndarray, Rotation]:
    """A path that bends and a camera that turns."""
    t = np.arange(frames)
    centres = np.stack([np.sin(0.3 * t), 0.1 * t * np.cos(seed + 0.2 * t), 0.25 * t], axis=1)
    turns = np.stack([0.05 * t, 0.2 * np.sin(0.4 * t + seed), 0.03 * t * seed], axis=1)
    return centres, Rotation.from_rotvec(turns)


def test_centres_are_where_the_cameras_were_put() -> None:
    centres, rotations = walk(2)
    found = camera_centres(extrinsics_of(poses(centres, rotations)))
    np.testing.assert_allclose(found, centres, atol=1e-12)


@given(seed=st.integers(0, 50), scale=st.floats(0.1, 10))
def test_another_world_and_unit_is_no_error(seed: int, scale: float) -> None:
    centres, rotations = walk(seed)
    turn = Rotation.random(random_state=seed)
    said = poses(scale * turn.apply(centres) + [3.0, -1.0, 2.0], turn * rotations)
    true = poses(centres, rotations)
    found = pair_errors(said, true)
    assert found.rotation_N.shape == found.direction_N.shape == (T * (T - 1) // 2,)
    assert float(found.rotation_N.max()) < 1e-6 and float(found.direction_N.max()) < 1e-5
    assert pose_auc(found.worse()) == pytest.approx([1, 1, 1], abs=1e-5)
    path = path_errors(said, true)
    assert max(path.ate, path.rpe_translation, path.rpe_rotation_deg) < 1e-6
    # aligned without scale, a path that is k times as long is off by its spread times |k - 1|
    spread = np.sqrt(np.square(centres - centres.mean(0)).sum(-1).mean())
    assert path.ate_rigid == pytest.approx(abs(scale - 1) * spread, abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, 2.0, 45.0, 179.0])
def test_one_camera_turned_by_so_much_is_wrong_in_its_pairs_alone(angle: float) -> None:
    centres, rotations = walk(1, 4)
    own = Rotation.from_rotvec(np.radians(angle) * np.asarray([0.6, 0.0, 0.8]))
    turned = Rotation.concatenate([rotations[:3], rotations[3:] * own])
    found = pair_errors(poses(centres, turned), poses(centres, rotations))
    # pairs are 01 02 03 12 13 23
    np.testing.assert_allclose(found.rotation_N, [0, 0, angle, 0, angle, angle], atol=1e-5)
    # seen from the first camera of a pair, the last one stands where it stood
    np.testing.assert_allclose(found.direction_N, 0, atol=1e-5)
    path = path_errors(poses(centres, turned), poses(centres, rotations))
    assert path.rpe_rotation_deg == pytest.approx(angle / math.sqrt(3), abs=1e-5)
    assert path.ate < 1e-9


def test_directions_by_hand() -> None:
    still = Rotation.identity(3)
    true = poses(np.asarray([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]]), still)
    said = poses(np.asarray([[0.0, 0, 0], [1, 0, 1], [0, 0, 2]]), still)
    found = pair_errors(said, true)
    np.testing.assert_allclose(found.direction_N, [45, 0, 45], atol=1e-9)
    assert path_errors(said, true).rpe_rotation_deg == 0
    assert path_errors(true, true).rpe_translation == pytest.approx(0, abs=1e-12)


def test_relative_translation_is_in_metres_after_the_scale() -> None:
    still = Rotation.identity(4)
    true_centres = np.asarray([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    said_centres = np.asarray([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    assert (
        path_errors(poses(said_centres, still), poses(true_centres, still)).rpe_translation < 1e-9
    )
    bent = true_centres + np.asarray([[0, 0, 0], [0, 0, 0.3], [0, 0, 0], [0, 0, 0.3]])
    similar = umeyama(torch.from_numpy(bent), torch.from_numpy(true_centres), with_scale=True)
    found = path_errors(poses(bent, still), poses(true_centres, still))
    steps = similar.scale * np.diff(bent, axis=0) - np.diff(true_centres, axis=0)
    assert found.rpe_translation == pytest.approx(np.sqrt(np.square(steps).sum(-1).mean()))


def test_the_alignment_is_scipys_and_the_scale_the_least_squared() -> None:
    random = np.random.default_rng(3)
    target = random.normal(size=(20, 3))
    turn = Rotation.random(random_state=4)
    source = turn.inv().apply(target - [1, 2, 3]) / 2.5 + 0.05 * random.normal(size=(20, 3))
    found = umeyama(torch.from_numpy(source), torch.from_numpy(target), with_scale=True)
    by_scipy, _ = Rotation.align_vectors(target - target.mean(0), source - source.mean(0))
    np.testing.assert_allclose(found.rotation_33, by_scipy.as_matrix(), atol=1e-9)
    turned = by_scipy.apply(source - source.mean(0)).reshape(-1, 1)
    scale = np.linalg.lstsq(turned, (target - target.mean(0)).reshape(-1), rcond=None)[0][0]
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found(torch.from_numpy(source)).mean(0), target.mean(0), atol=1e-9)
    assert umeyama(torch.from_numpy(source), torch.from_numpy(target), with_scale=False).scale == 1


def test_a_mirror_image_is_not_aligned_by_a_mirror() -> None:
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 3)))
    found = umeyama(points * torch.tensor([1.0, 1.0, -1.0]), points, with_scale=True)
    assert float(torch.linalg.det(found.rotation_33)) == pytest.approx(1)
    assert found.scale > 0


def test_paths_have_the_errors_that_evo_finds() -> None:
    """evo 1.38.1: APE translation and RPE of successive poses, rmse, aligned in both ways."""
    centres, rotations = walk()
    t = np.arange(T)
    off = np.stack([np.sin(2 * t), np.cos(3 * t), np.sin(5 * t + 1)], axis=1)
    turn = Rotation.from_rotvec(0.03 * np.stack([np.cos(2 * t), np.sin(3 * t), np.cos(5 * t)], 1))
    found = path_errors(
        poses(0.4 * centres + 0.02 * off, turn * rotations), poses(centres, rotations)
    )
    assert found.ate == pytest.approx(0.059928558285942325)
    assert found.ate_rigid == pytest.approx(0.5917709465116874)
    assert found.rpe_translation == pytest.approx(0.10154180283029036)
    assert found.rpe_rotation_deg == pytest.approx(3.4815530034282403)


@given(errors=st.lists(st.floats(0, 90), min_size=1, max_size=60), most=st.integers(1, 40))
def test_the_area_is_that_under_the_curve_and_vggts_histogram_is_a_little_above(
    errors: list[float], most: int
) -> None:
    (found,) = pose_auc(torch.tensor(errors, dtype=torch.float64), (most,))
    assert 0 <= found <= 1
    ordered = np.sort(np.minimum(errors, most))
    edges = np.concatenate([[0.0], ordered, [most]])
    under = (np.diff(edges) * np.arange(len(errors) + 1) / len(errors)).sum() / most
    assert found == pytest.approx(under, abs=1e-9)
    # whole degrees, whose last holds both of its ends
    counts, _ = np.histogram(errors, bins=np.arange(most + 1))
    by_degree = np.cumsum(counts / len(errors)).mean()
    assert -1e-9 <= by_degree - found <= 1 / most + 1e-9


def test_areas_by_hand() -> None:
    found = pose_auc(torch.tensor([0.0, 3.0, 20.0, 100.0]))
    assert found == pytest.approx([(1 + 0.4) / 4, (1 + 0.8) / 4, (1 + 0.9 + 1 / 3) / 4])
    assert all(map(math.isnan, pose_auc(torch.zeros(0))))


def test_a_pair_counts_by_its_larger_error_and_either_sign_of_its_direction() -> None:
    errors = PairErrors(
        torch.tensor([10.0, 10.0, 10.0, 10.0]), torch.tensor([2.0, 40.0, 178.0, math.nan])
    )
    np.testing.assert_allclose(errors.worse(), [10, 40, 10, 10])


def test_a_camera_that_stands_still_has_rotations_but_no_direction_and_no_scale() -> None:
    _, rotations = walk(1)
    true = poses(np.full((T, 3), 0.7), rotations)
    said = poses(walk(1)[0], rotations)
    found = pair_errors(said, true)
    assert bool(found.direction_N.isnan().all()) and float(found.rotation_N.max()) < 1e-5
    assert pose_auc(found.worse()) == pytest.approx([1, 1, 1], abs=1e-5)
    path = path_errors(said, true)
    assert math.isnan(path.ate) and math.isnan(path.rpe_translation)
    centres = walk(1)[0]
    spread = np.sqrt(np.square(centres - centres.mean(0)).sum(-1).mean())
    assert path.ate_rigid == pytest.approx(spread) and path.rpe_rotation_deg < 1e-5


def test_a_model_that_says_the_camera_stands_still_is_told_so() -> None:
    centres, rotations = walk(1)
    said, true = poses(np.zeros((T, 3)), rotations), poses(centres, rotations)
    np.testing.assert_allclose(pair_errors(said, true).direction_N, 90)
    spread = np.sqrt(np.square(centres - centres.mean(0)).sum(-1).mean())
    assert path_errors(said, true).ate == pytest.approx(spread)
    assert vector_angle_deg(torch.zeros(1, 3), torch.ones(1, 3)).tolist() == [90]


def test_one_frame_has_no_pairs_and_no_path() -> None:
    one = poses(np.zeros((1, 3)), Rotation.identity(1))
    found = pair_errors(one, one)
    assert len(found.rotation_N) == len(found.direction_N) == 0
    path = path_errors(one, one)
    assert all(map(math.isnan, (path.ate, path.ate_rigid, path.rpe_translation)))


@pytest.mark.parametrize("frames", [2, 5])
def test_centres_on_a_line_are_aligned(frames: int) -> None:
    along = np.linspace(0, 1, frames)[:, None] * [[0.3, -0.2, 0.9]]
    turn = Rotation.random(random_state=9)
    same = Rotation.identity(frames)
    found = path_errors(poses(3 * turn.apply(along), same), poses(along, same))
    assert found.ate < 1e-9
    points = torch.from_numpy(along)
    assert float(torch.linalg.det(umeyama(points, points, with_scale=True).rotation_33)) > 0.99
