"""What is to be read out of the states, exact from ground truth, and from which states.

Four targets: a visual token's depth, the log of the mean depth in its cell; a frame's camera seen
from the clip's first one, where it stands in metres and how it is turned (the nine numbers of the
rotation matrix, projected onto the nearest rotation: Levinson et al. 2020); and the clip's scale,
the log of its mean depth in metres. Depth is read from the token's own state, pose from the mean
states of the frame and of the first frame, scale from the mean state of the clip.

Shape suffixes: T time slots, N visual tokens of a slot, D width, R rows, Q numbers, h w token grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import adaptive_avg_pool2d

from geovr.geometry.camera import camera_centres, relative_to_first
from geovr.geometry.depth_errors import valid_pixels
from geovr.geometry.errors import rotation_angle_deg
from geovr.simulation.truth import SceneTruth

Block = Literal["token", "frame", "clip"]
"""Whose states a target is read from."""
WIDTHS: dict[Block, int] = {"token": 1, "frame": 2, "clip": 1}
"""Inputs of a block, in widths of the model."""


def ratio_error(said_RQ: torch.Tensor, true_RQ: torch.Tensor) -> torch.Tensor:
    """|d / d* - 1| of each row's logarithm, (R,)."""
    return ((said_RQ - true_RQ).exp() - 1).abs()[:, 0]


def distance(said_RQ: torch.Tensor, true_RQ: torch.Tensor) -> torch.Tensor:
    """Between two places of each row, (R,)."""
    apart: torch.Tensor = (said_RQ - true_RQ).norm(dim=-1)
    return apart


def turn_error(said_RQ: torch.Tensor, true_RQ: torch.Tensor) -> torch.Tensor:
    """Degrees between the rotation nearest to nine numbers and the true one, (R,)."""
    nearest = nearest_rotation(said_RQ.reshape(-1, 3, 3))
    return rotation_angle_deg(nearest.transpose(-1, -2) @ true_RQ.reshape(-1, 3, 3))


def nearest_rotation(matrix_R33: torch.Tensor) -> torch.Tensor:
    """The rotation with the least squared difference from each matrix (orthogonal Procrustes)."""
    u, _, vh = torch.linalg.svd(matrix_R33)
    # without it a matrix that mirrors would stay a mirror
    sign = torch.linalg.det(u @ vh)
    u = torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], dim=-1)
    rotation: torch.Tensor = u @ vh
    return rotation


@dataclass(frozen=True)
class Target:
    """One thing to read out.

    Attributes:
        block: whose states it is read from.
        columns: where its numbers stand among the block's.
        title: for people.
        error: of predictions, in its unit.
        unit: of the error; a percent is of a share.
    """

    block: Block
    columns: slice
    title: str
    error: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    unit: Literal["%", "m", "deg"]


TARGETS: dict[str, Target] = {
    "depth": Target("token", slice(0, 1), "depth of each visual token", ratio_error, "%"),
    "translation": Target(
        "frame", slice(0, 3), "where the camera stands, from the first frame", distance, "m"
    ),
    "rotation": Target(
        "frame", slice(3, 12), "how the camera is turned, from the first frame", turn_error, "deg"
    ),
    "scale": Target("clip", slice(0, 1), "scale of the clip, its mean depth", ratio_error, "%"),
}
OUTPUTS: dict[Block, int] = {
    block: max(target.columns.stop for target in TARGETS.values() if target.block == block)
    for block in WIDTHS
}


@dataclass(frozen=True)
class ClipTargets:
    """Of one clip, float64.

    Attributes:
        log_depth_TN: of each visual token, NaN where its cell has no depth.
        pose_TQ: of each slot but the first, centre and rotation seen from the first.
        log_scale: of the clip.
    """

    log_depth_TN: torch.Tensor
    pose_TQ: torch.Tensor
    log_scale: float

    def of(self, block: Block) -> torch.Tensor:
        """A block's numbers, (R, Q)."""
        if block == "token":
            return self.log_depth_TN.reshape(-1, 1)
        if block == "frame":
            return self.pose_TQ
        return torch.tensor([[self.log_scale]], dtype=torch.float64)


def clip_targets(truth: SceneTruth, grid: tuple[int, int]) -> ClipTargets:
    """Targets of a clip.

    Args:
        truth: of the frames that the slots show.
        grid: rows and columns of a slot's visual tokens.
    """
    valid = valid_pixels(truth.depth_THW)
    depth_THW = torch.where(valid, truth.depth_THW, 0.0)
    # means over the valid pixels of a cell: both are divided by the cell's size, which cancels
    seen, summed = (
        adaptive_avg_pool2d(part[:, None], grid).flatten(1) for part in (valid.double(), depth_THW)
    )
    extrinsics = relative_to_first(truth.camera_from_world_T44)[1:]
    return ClipTargets(
        log_depth_TN=(summed / seen).log(),
        pose_TQ=torch.cat([camera_centres(extrinsics), extrinsics[:, :3, :3].flatten(1)], dim=1),
        log_scale=float((depth_THW.sum() / valid.sum()).log()),
    )


def inputs(states_TND: torch.Tensor, block: Block) -> torch.Tensor:
    """What a block's targets are read from, (R, WIDTHS[block] * D), of one clip's states."""
    if block == "token":
        return states_TND.flatten(0, 1)
    frames_TD = states_TND.double().mean(1)
    if block == "frame":
        rest = frames_TD[1:]
        return torch.cat([rest, frames_TD[:1].expand_as(rest)], dim=1)
    return frames_TD.mean(0, keepdim=True)
