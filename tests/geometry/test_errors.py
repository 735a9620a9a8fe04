"""Error measures against angles that are known by construction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from geovr.geometry.errors import abs_rel, rotation_error_deg, translation_direction_error_deg


def poses(rotations: Rotation, translations: np.ndarray) -> torch.Tensor:
    fov = np.ones((len(translations), 2))
    return torch.from_numpy(np.concatenate([translations, rotations.as_quat(), fov], axis=1))


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.5, 30.0, 179.9])
def test_a_turn_of_so_many_degrees_is_found(angle: float) -> None:
    random = np.random.default_rng(0)
    truth = Rotation.random(6, random_state=1)
    axis = random.normal(size=3)
    turn = Rotation.from_rotvec(np.radians(angle) * axis / np.linalg.norm(axis))
    # the first frame is right, so what is relative to it is off by the turn
    off = Rotation.concatenate([truth[:1], turn * truth[1:]])
    moves = random.normal(size=(6, 3))
    found = rotation_error_deg(poses(off, moves), poses(truth, moves))
    assert found.shape == (5,)
    np.testing.assert_allclose(found, angle, rtol=1e-6, atol=1e-9)


def test_a_common_rotation_of_all_frames_is_no_error() -> None:
    truth = Rotation.random(4, random_state=2)
    common = truth * Rotation.random(random_state=3)
    zeros = np.zeros((4, 3))
    assert float(rotation_error_deg(poses(common, zeros), poses(truth, zeros)).max()) < 1e-6


def test_directions_count_where_the_camera_moved() -> None:
    still, ahead, right = [0.0, 0, 0], [0.0, 0, 1], [1.0, 0, 0]
    same = Rotation.identity(3)
    truth = poses(same, np.asarray([still, ahead, ahead]))
    said = poses(same, np.asarray([right, [0.0, 0, 7], [3.0, 0, 3]]))
    found = translation_direction_error_deg(said, truth)
    np.testing.assert_allclose(found, [0, 45], atol=1e-9)


def test_abs_rel_is_relative_to_the_truth() -> None:
    truth = torch.tensor([[[1.0, 2.0], [4.0, 8.0]]])
    assert abs_rel(1.1 * truth, truth) == pytest.approx(0.1)
    assert abs_rel(truth + torch.tensor([1.0, -1.0]), truth) == pytest.approx(
        (1 + 0.5 + 0.25 + 0.125) / 4
    )
