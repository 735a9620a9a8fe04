"""Depth maps to points and normals. Camera convention: geometry/camera.py.

Shape suffixes: T frames, H W pixels.
"""

from __future__ import annotations

import torch


def unproject(
    depth_THW: torch.Tensor, intrinsics_T33: torch.Tensor, camera_from_world_T44: torch.Tensor
) -> torch.Tensor:
    """World points (T, H, W, 3) seen at each pixel's centre, in the depth's unit.

    Args:
        depth_THW: depth along the camera's z axis.
        intrinsics_T33: in pixels of the depth map.
        camera_from_world_T44: extrinsics in the same unit as the depth.
    """
    _, H, W = depth_THW.shape
    dtype, device = depth_THW.dtype, depth_THW.device
    v, u = torch.meshgrid(
        torch.arange(H, dtype=dtype, device=device) + 0.5,
        torch.arange(W, dtype=dtype, device=device) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([u, v, torch.ones_like(u)], dim=-1)
    rays = torch.einsum("tij,hwj->thwi", torch.linalg.inv(intrinsics_T33), pixels)
    in_camera = rays * depth_THW[..., None]
    rotation, translation = camera_from_world_T44[:, :3, :3], camera_from_world_T44[:, :3, 3]
    return torch.einsum("tji,thwj->thwi", rotation, in_camera - translation[:, None, None])


def normals_from_points(points_THW3: torch.Tensor) -> torch.Tensor:
    """Unit normals (T, H, W, 3) from neighbouring points; the border repeats its neighbour."""
    across = points_THW3[:, :-1, 1:] - points_THW3[:, :-1, :-1]
    down = points_THW3[:, 1:, :-1] - points_THW3[:, :-1, :-1]
    normal = torch.linalg.cross(down, across, dim=-1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    padded = torch.cat([normal, normal[:, -1:]], dim=1)
    return torch.cat([padded, padded[:, :, -1:]], dim=2)
