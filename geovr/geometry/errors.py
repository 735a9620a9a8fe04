"""How far predicted geometry is from the truth; conventions as in geometry/camera.py.

Shape suffixes: T frames, K=9 pose numbers, H W pixels.
"""

from __future__ import annotations

import torch

from geovr.geometry.rotation import quaternion_to_matrix


def abs_rel(depth_THW: torch.Tensor, truth_THW: torch.Tensor) -> float:
    """Mean of |d - d*| / d* (Eigen et al. 2014)."""
    return float(((depth_THW - truth_THW).abs() / truth_THW).mean())


def rotation_error_deg(pose_TK: torch.Tensor, truth_TK: torch.Tensor) -> torch.Tensor:
    """Angle between predicted and true rotation of each frame relative to the first, (T - 1,)."""

    def relative(pose: torch.Tensor) -> torch.Tensor:
        rotation = quaternion_to_matrix(pose[:, 3:7].double())
        return rotation[1:] @ rotation[:1].transpose(-1, -2)

    between = relative(pose_TK).transpose(-1, -2) @ relative(truth_TK)
    # the arc tangent is exact near zero, where the arc cosine is not
    cosine = (between.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    sine = (between - between.transpose(-1, -2)).flatten(1).norm(dim=-1) / (2 * 2**0.5)
    return torch.rad2deg(torch.atan2(sine, cosine))


def translation_direction_error_deg(
    pose_TK: torch.Tensor, truth_TK: torch.Tensor, least: float = 0.01
) -> torch.Tensor:
    """Angle between predicted and true translation of frames that moved by `least` and more."""
    moved = truth_TK[:, :3].norm(dim=-1) >= least
    a, b = (pose[moved, :3].double() for pose in (pose_TK, truth_TK))
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1)))
