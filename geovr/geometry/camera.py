"""THE camera convention, and the nine numbers that encode a pose.

Axes are OpenCV's: x right, y down, z forward. Extrinsics are camera-from-world: X_cam = R X_world
+ t. The first frame of a clip is the world. Quaternions are (x, y, z, w), scalar last. Fields of
view are full angles in radians. Lengths are the teacher's own unit; times the clip's metric scale
they are metres. Every other file means this when it says pose.

Shape suffixes: T frames, K=9 pose numbers [t (3), quaternion (4), fov_h, fov_w].
"""

from __future__ import annotations

import torch

from geovr.geometry.rotation import matrix_to_quaternion, quaternion_to_matrix


def relative_to_first(camera_from_world_T44: torch.Tensor) -> torch.Tensor:
    """(T, 4, 4) extrinsics with the first frame as the world: E_k E_0^-1."""
    first: torch.Tensor = torch.linalg.inv(camera_from_world_T44[:1])
    return camera_from_world_T44 @ first


def encode_pose(
    camera_from_world_T44: torch.Tensor, intrinsics_T33: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Extrinsics and pixel intrinsics to (T, 9) pose encodings.

    Args:
        camera_from_world_T44: extrinsics, used as they are.
        intrinsics_T33: focal lengths in pixels of an image of `size`.
        size: image height and width in pixels.
    """
    height, width = size
    rotation, translation = camera_from_world_T44[:, :3, :3], camera_from_world_T44[:, :3, 3]
    fov_h = 2 * torch.atan(height / 2 / intrinsics_T33[:, 1, 1])
    fov_w = 2 * torch.atan(width / 2 / intrinsics_T33[:, 0, 0])
    fov = torch.stack([fov_h, fov_w], dim=-1)
    return torch.cat([translation, matrix_to_quaternion(rotation), fov], dim=-1)


def extrinsics_of(pose_TK: torch.Tensor) -> torch.Tensor:
    """The (T, 4, 4) extrinsics in pose encodings."""
    T = len(pose_TK)
    extrinsics = torch.eye(4, dtype=pose_TK.dtype, device=pose_TK.device).repeat(T, 1, 1)
    extrinsics[:, :3, :3] = quaternion_to_matrix(pose_TK[:, 3:7])
    extrinsics[:, :3, 3] = pose_TK[:, :3]
    return extrinsics


def camera_centres(camera_from_world_T44: torch.Tensor) -> torch.Tensor:
    """Where the cameras stand in the world, (T, 3): -R^T t."""
    rotation, translation = camera_from_world_T44[:, :3, :3], camera_from_world_T44[:, :3, 3]
    return -torch.einsum("tji,tj->ti", rotation, translation)


def decode_pose(pose_TK: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose encodings to (T, 4, 4) extrinsics and (T, 3, 3) intrinsics of an image of `size`.

    The principal point is the image's centre.
    """
    height, width = size
    T = len(pose_TK)
    extrinsics = extrinsics_of(pose_TK)
    intrinsics = torch.eye(3, dtype=pose_TK.dtype, device=pose_TK.device).repeat(T, 1, 1)
    intrinsics[:, 0, 0] = width / 2 / torch.tan(pose_TK[:, 8] / 2)
    intrinsics[:, 1, 1] = height / 2 / torch.tan(pose_TK[:, 7] / 2)
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = width / 2, height / 2
    return extrinsics, intrinsics
