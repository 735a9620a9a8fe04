"""Rotations, poses and depth against formulas written out here."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from geovr.geometry.camera import decode_pose, encode_pose, relative_to_first
from geovr.geometry.depth import normals_from_points, unproject
from geovr.geometry.rotation import matrix_to_quaternion, quaternion_to_matrix

COMPONENT = st.floats(-1, 1)


@given(st.tuples(COMPONENT, COMPONENT, COMPONENT, COMPONENT))
def test_quaternions_make_the_round_trip(components: tuple[float, ...]) -> None:
    q = torch.tensor(components, dtype=torch.float64)
    if q.norm() < 1e-3:
        return
    matrix = quaternion_to_matrix(q)
    np.testing.assert_allclose(matrix, Rotation.from_quat(q.numpy()).as_matrix(), atol=1e-12)
    back = matrix_to_quaternion(matrix)
    assert back[3] >= 0 and float(back.norm()) == pytest.approx(1)
    np.testing.assert_allclose(quaternion_to_matrix(back), matrix, atol=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0.3)])
@pytest.mark.parametrize("angle", [math.pi, math.pi - 1e-7, 1e-9])
def test_half_turns_lose_no_digits(axis: tuple[float, ...], angle: float) -> None:
    vector = np.asarray(axis) / np.linalg.norm(axis) * angle
    matrix = torch.from_numpy(Rotation.from_rotvec(vector).as_matrix())
    back = quaternion_to_matrix(matrix_to_quaternion(matrix))
    np.testing.assert_allclose(back, matrix, atol=1e-12)


@given(
    st.tuples(COMPONENT, COMPONENT, COMPONENT),
    st.floats(-1e-4, 1e-4),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_near_half_turns_in_either_precision(
    axis: tuple[float, ...], off: float, dtype: torch.dtype
) -> None:
    """Where w is about zero, and where two forms of the quaternion are about as good."""
    length = math.hypot(*axis)
    if length < 1e-3:
        return
    vector = np.asarray(axis) / length * (math.pi + off)
    matrix = torch.from_numpy(Rotation.from_rotvec(vector).as_matrix()).to(dtype)
    quaternion = matrix_to_quaternion(matrix)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    assert quaternion.dtype == dtype and quaternion[3] >= 0
    assert abs(float(quaternion.norm()) - 1) < tolerance
    np.testing.assert_allclose(quaternion_to_matrix(quaternion), matrix, atol=tolerance)


def test_rotations_of_any_batch_shape_are_those_of_each() -> None:
    matrices = torch.from_numpy(Rotation.random(24, random_state=1).as_matrix()).view(2, 3, 4, 3, 3)
    quaternions = matrix_to_quaternion(matrices)
    assert quaternions.shape == (2, 3, 4, 4)
    for place in np.ndindex(2, 3, 4):
        np.testing.assert_array_equal(quaternions[place], matrix_to_quaternion(matrices[place]))
    np.testing.assert_allclose(quaternion_to_matrix(quaternions), matrices, atol=1e-12)


def cameras(count: int) -> torch.Tensor:
    random = np.random.default_rng(2)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, random_state=3).as_matrix()
    poses[:, :3, 3] = random.normal(size=(count, 3))
    return torch.from_numpy(poses)


def test_pose_encodings_make_the_round_trip_and_start_at_the_world() -> None:
    poses = relative_to_first(cameras(5))
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-12)
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(5, 1, 1)
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = 40.0, 50.0
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = 32.0, 24.0
    encoded = encode_pose(poses, intrinsics, (48, 64))
    assert encoded.shape == (5, 9)
    np.testing.assert_allclose(encoded[:, 7], 2 * math.atan(24 / 50))
    np.testing.assert_allclose(encoded[:, 8], 2 * math.atan(32 / 40))
    back, pixels = decode_pose(encoded, (48, 64))
    np.testing.assert_allclose(back, poses, atol=1e-12)
    np.testing.assert_allclose(pixels, intrinsics, atol=1e-10)


def test_unproject_is_the_pinhole_camera_the_other_way_round() -> None:
    """Points drawn in the world, projected by hand, come back."""
    poses = cameras(2)
    intrinsics = torch.tensor([[[30.0, 0, 4], [0, 35, 3], [0, 0, 1]]]).double().repeat(2, 1, 1)
    depth = torch.from_numpy(np.random.default_rng(4).uniform(1, 5, (2, 6, 8)))
    points = unproject(depth, intrinsics, poses)
    for t in range(2):
        for v in range(6):
            for u in range(8):
                camera = poses[t, :3, :3] @ points[t, v, u] + poses[t, :3, 3]
                assert float(camera[2]) == pytest.approx(float(depth[t, v, u]))
                assert float(30 * camera[0] / camera[2] + 4) == pytest.approx(u + 0.5)
                assert float(35 * camera[1] / camera[2] + 3) == pytest.approx(v + 0.5)


def test_normals_of_a_plane_are_the_planes() -> None:
    v, u = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    plane = torch.stack([u, v, 0.5 * u + 0.25 * v], dim=-1)[None]
    normals = normals_from_points(plane)
    expected = torch.tensor([0.5, 0.25, -1.0])
    expected = expected / expected.norm()
    np.testing.assert_allclose(normals, expected.expand_as(normals), atol=1e-6)


def test_normals_face_the_camera_that_sees_them() -> None:
    """A wall in front of the camera, by way of unproject."""
    intrinsics = torch.tensor([[[30.0, 0, 4], [0, 30, 3], [0, 0, 1]]]).double()
    points = unproject(torch.full((1, 6, 8), 2.0).double(), intrinsics, torch.eye(4).double()[None])
    normals = normals_from_points(points)
    np.testing.assert_allclose(normals, torch.tensor([0.0, 0, -1]).expand(1, 6, 8, 3), atol=1e-12)


def test_flat_places_have_no_normal_and_no_nan() -> None:
    assert (normals_from_points(torch.zeros(1, 3, 3, 3)) == 0).all()
