"""How far predicted geometry is from the truth; conventions as in geometry/camera.py.

Depth has a file of its own, geometry/depth_errors.py, and so have whole camera paths,
geometry/trajectory.py.

Shape suffixes: T frames, K=9 pose numbers, H W pixels, N pairs of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from geovr.geometry.camera import camera_centres, extrinsics_of
from geovr.geometry.rotation import quaternion_to_matrix

STANDS_STILL_M = 0.01
"""A camera that moved less has no direction in which it moved."""


def abs_rel(depth_THW: torch.Tensor, truth_THW: torch.Tensor) -> float:
    """Mean of |d - d*| / d* (Eigen et al. 2014)."""
    return float(((depth_THW - truth_THW).abs() / truth_THW).mean())


def rotation_angle_deg(rotation_N33: torch.Tensor) -> torch.Tensor:
    """The angle (N,) by which each rotation turns, from 0 to 180 degrees."""
    # the arc tangent is exact near zero, where the arc cosine is not
    cosine = (rotation_N33.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    skew = rotation_N33 - rotation_N33.transpose(-1, -2)
    sine = skew.flatten(1).norm(dim=-1) / (2 * 2**0.5)
    return torch.rad2deg(torch.atan2(sine, cosine))


def vector_angle_deg(said_N3: torch.Tensor, true_N3: torch.Tensor) -> torch.Tensor:
    """The angle (N,) between vectors, from 0 to 180 degrees.

    A vector of length zero has no direction and is told nothing of: 90 degrees from any other.
    """
    cross = torch.linalg.cross(said_N3, true_N3).norm(dim=-1)
    dot = (said_N3 * true_N3).sum(-1)
    angle = torch.rad2deg(torch.atan2(cross, dot))
    return torch.where((cross == 0) & (dot == 0), 90.0, angle)


def rotation_error_deg(pose_TK: torch.Tensor, truth_TK: torch.Tensor) -> torch.Tensor:
    """Angle between predicted and true rotation of each frame relative to the first, (T - 1,)."""

    def relative(pose: torch.Tensor) -> torch.Tensor:
        rotation = quaternion_to_matrix(pose[:, 3:7].double())
        return rotation[1:] @ rotation[:1].transpose(-1, -2)

    return rotation_angle_deg(relative(pose_TK).transpose(-1, -2) @ relative(truth_TK))


def translation_direction_error_deg(
    pose_TK: torch.Tensor, truth_TK: torch.Tensor, least: float = STANDS_STILL_M
) -> torch.Tensor:
    """Angle between predicted and true translation of frames that moved by `least` and more."""
    moved = truth_TK[:, :3].norm(dim=-1) >= least
    return vector_angle_deg(pose_TK[moved, :3].double(), truth_TK[moved, :3].double())


@dataclass(frozen=True)
class PairErrors:
    """Errors of the relative poses of pairs of frames, in degrees.

    Attributes:
        rotation_N: of each pair.
        direction_N: between the true direction in which the second camera stands as seen from the
            first, and the predicted one, from 0 to 180; NaN where the truth has no direction.
    """

    rotation_N: torch.Tensor
    direction_N: torch.Tensor

    def worse(self) -> torch.Tensor:
        """The larger error of each pair, as VGGT's evaluation counts it.

        As there, and in essential matrices, a direction and its opposite are one; a pair whose
        truth has no direction counts by its rotation alone.
        """
        either = torch.minimum(self.direction_N, 180 - self.direction_N)
        return torch.maximum(self.rotation_N, either.nan_to_num(nan=0.0))


def pair_errors(
    pose_TK: torch.Tensor, truth_TK: torch.Tensor, least: float = STANDS_STILL_M
) -> PairErrors:
    """Relative pose errors of all T (T - 1) / 2 pairs of frames, first frame before second.

    They depend on no choice of the world, and directions on no scale (VGGT, Wang et al. 2025, and
    PoseDiffusion, Wang et al. 2023, evaluate so).

    Args:
        pose_TK: predicted, in any unit.
        truth_TK: true, in metres.
        least: metres between two true cameras from which on there is a direction.
    """
    said, true = (extrinsics_of(pose.double()) for pose in (pose_TK, truth_TK))
    first, second = torch.triu_indices(len(true), len(true), offset=1)
    centres = camera_centres(true)
    apart = (centres[second] - centres[first]).norm(dim=-1)
    said_N44, true_N44 = (poses[first] @ torch.linalg.inv(poses[second]) for poses in (said, true))
    direction = vector_angle_deg(said_N44[:, :3, 3], true_N44[:, :3, 3])
    between = said_N44[:, :3, :3].transpose(-1, -2) @ true_N44[:, :3, :3]
    return PairErrors(
        rotation_N=rotation_angle_deg(between),
        direction_N=torch.where(apart >= least, direction, math.nan),
    )


def pose_auc(error_N: torch.Tensor, thresholds: Sequence[float] = (5, 15, 30)) -> list[float]:
    """Area under the share of pairs whose error is at most x, for x from 0 to each threshold.

    The area is exact, the mean of max(0, 1 - error / threshold). VGGT's code sums a histogram of
    whole degrees, which takes every error down to its whole degree and gives up to 1 / threshold
    more; SuperGlue's joins the steps by straight lines. For many pairs all three agree.

    Args:
        error_N: the larger of rotation and direction error of each pair, in degrees.
        thresholds: in degrees.

    Returns:
        from 0 to 1, NaN without any pair.
    """
    return [float((1 - error_N / most).clamp(min=0).mean()) for most in thresholds]
