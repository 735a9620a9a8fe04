"""Whole camera paths: alignment by Umeyama, absolute trajectory error, relative pose error.

Conventions as in geometry/camera.py.

Shape suffixes: T frames, K=9 pose numbers, P points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from geovr.geometry.camera import camera_centres, extrinsics_of
from geovr.geometry.errors import STANDS_STILL_M, rotation_angle_deg


@dataclass(frozen=True)
class Similarity:
    """x -> scale R x + translation."""

    scale: float
    rotation_33: torch.Tensor
    translation_3: torch.Tensor

    def __call__(self, points_P3: torch.Tensor) -> torch.Tensor:
        """The points moved."""
        return self.scale * points_P3 @ self.rotation_33.T + self.translation_3


def umeyama(source_P3: torch.Tensor, target_P3: torch.Tensor, *, with_scale: bool) -> Similarity:
    """The similarity, or rigid motion, that moves points onto others with the least squared error.

    Umeyama 1991, equations 40 to 42. A mirror image is never taken. Points on a line leave the
    turn about it open, points in one place every turn; which is taken changes no distance. Source
    points in one place have no scale; it is 1 then.
    """
    source, target = source_P3.double(), target_P3.double()
    middle_s, middle_t = source.mean(0), target.mean(0)
    from_s, from_t = source - middle_s, target - middle_t
    u, d, vh = torch.linalg.svd(from_t.T @ from_s / len(source))
    sign = torch.ones(3, dtype=torch.float64, device=d.device)
    if torch.linalg.det(u) * torch.linalg.det(vh) < 0:
        sign[2] = -1.0
    rotation = u @ torch.diag(sign) @ vh
    spread = float(from_s.square().sum(-1).mean())
    scale = float((d * sign).sum()) / spread if with_scale and spread > 0 else 1.0
    return Similarity(scale, rotation, middle_t - scale * rotation @ middle_s)


@dataclass(frozen=True)
class PathErrors:
    """Errors of a camera path in the truth's unit and in degrees; NaN where undefined.

    Attributes:
        ate: root mean square distance between camera centres after the best similarity, Sim(3):
            the absolute trajectory error of Sturm et al. 2012, aligned in scale as for cameras
            that know no metres. NaN for one frame and for a true camera that stands still: any
            path shrunk to a point would fit it.
        ate_rigid: the same after the best rigid motion, SE(3): the path's own lengths count.
        rpe_translation: root mean square, over successive frames, of the distance between true
            and predicted relative translation (Sturm et al. 2012), the prediction scaled as for
            `ate`.
        rpe_rotation_deg: root mean square angle of the same relative poses.
    """

    ate: float
    ate_rigid: float
    rpe_translation: float
    rpe_rotation_deg: float


def path_errors(
    pose_TK: torch.Tensor, truth_TK: torch.Tensor, least: float = STANDS_STILL_M
) -> PathErrors:
    """Errors of a clip's camera path.

    Args:
        pose_TK: predicted; `ate_rigid` means something only in the truth's unit.
        truth_TK: true, in metres.
        least: metres; a true camera all of whose centres are nearer to their mean stands still.
    """
    if len(truth_TK) < 2:
        return PathErrors(math.nan, math.nan, math.nan, math.nan)
    said, true = (extrinsics_of(pose.double()) for pose in (pose_TK, truth_TK))
    said_T3, true_T3 = camera_centres(said), camera_centres(true)
    moves = bool(((true_T3 - true_T3.mean(0)).norm(dim=-1) >= least).any())

    def rms(off_N3: torch.Tensor) -> float:
        return float(off_N3.square().sum(-1).mean().sqrt())

    similar = umeyama(said_T3, true_T3, with_scale=True)
    rigid = umeyama(said_T3, true_T3, with_scale=False)
    # the pose of the next camera seen from each one
    said_N44, true_N44 = (poses[:-1] @ torch.linalg.inv(poses[1:]) for poses in (said, true))
    turned = true_N44[:, :3, :3].transpose(-1, -2) @ said_N44[:, :3, :3]
    off = similar.scale * said_N44[:, :3, 3] - true_N44[:, :3, 3]
    return PathErrors(
        ate=rms(similar(said_T3) - true_T3) if moves else math.nan,
        ate_rigid=rms(rigid(said_T3) - true_T3),
        rpe_translation=rms(off) if moves else math.nan,
        rpe_rotation_deg=float(rotation_angle_deg(turned).square().mean().sqrt()),
    )
