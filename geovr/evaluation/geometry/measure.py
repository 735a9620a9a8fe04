"""One clip's prediction against its ground truth, as numbers.

Shape suffixes: T frames, K=9 pose numbers, H W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from geovr.geometry.camera import encode_pose, relative_to_first
from geovr.geometry.depth_errors import (
    ALIGNMENTS,
    clip_scale,
    depth_errors,
    scale_errors,
    valid_pixels,
)
from geovr.geometry.errors import pair_errors, pose_auc
from geovr.geometry.trajectory import path_errors

if TYPE_CHECKING:
    from geovr.model.predict import Prediction
    from geovr.simulation.truth import SceneTruth

CODE_VERSION = 1
"""Part of the key of every measurement; raise it when a number changes its meaning."""
AUC_DEGREES = (5, 15, 30)


@dataclass(frozen=True)
class Number:
    """What a number is called and measures.

    Attributes:
        part: that it belongs to.
        label: in a table.
        unit: empty for a plain ratio.
        higher: whether more is better.
    """

    part: Literal["depth", "camera", "scale"]
    label: str
    unit: str = ""
    higher: bool = False


SUFFIX = {"none": "", "median": "_median", "least_squares": "_least_squares"}
"""Of a depth error's name, by how the depth was scaled."""
DEPTH = (("abs_rel", "AbsRel", "", False), ("rmse", "RMSE", "m", False),
         ("delta1", "δ1, within a ratio of 1.25", "", True))  # fmt: skip
NUMBERS: dict[str, Number] = {
    **{
        f"{name}{suffix}": Number("depth", label, unit, higher)
        for suffix in SUFFIX.values()
        for name, label, unit, higher in DEPTH
    },
    "rotation_deg": Number("camera", "rotation error, all pairs of frames", "degrees"),
    "direction_deg": Number("camera", "direction error, all pairs of frames", "degrees"),
    **{
        f"auc_{degrees}": Number("camera", f"pose AUC@{degrees}", "", True)
        for degrees in AUC_DEGREES
    },
    "rpe_rotation_deg": Number("camera", "RPE rotation, successive frames", "degrees"),
    "rpe_translation": Number("camera", "RPE translation, successive frames, after Sim(3)", "m"),
    "ate": Number("camera", "ATE after Sim(3)", "m"),
    "ate_rigid": Number("camera", "ATE after SE(3), by its own scale", "m"),
    "scale_log_error": Number("scale", "scale error, |log(s / s*)|"),
    "scale_relative_error": Number("scale", "scale error, |s / s* − 1|"),
}
"""All that is measured, in the order of the table; definitions in geovr/geometry."""


class NotMeasured(Exception):
    """Why a clip has no numbers, in words."""


def constant_numbers(truth: SceneTruth, places_T: np.ndarray) -> dict[str, float]:
    """The numbers of a guess that looks at nothing: one depth everywhere, a camera that rests."""
    from geovr.model.predict import Prediction

    T = len(places_T)
    pose_TK = torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 1, 1]).repeat(T, 1)
    depth_THW = torch.ones(T, *truth.depth_THW.shape[1:])
    return clip_numbers(Prediction(pose_TK, depth_THW, None, None), truth, places_T)


def clip_numbers(said: Prediction, truth: SceneTruth, places_T: np.ndarray) -> dict[str, float]:
    """The numbers of a clip; those that aren't defined for it are left out.

    Args:
        said: what the heads say; parts that are None are not measured, and without a scale
            nothing in metres by its own scale.
        truth: of all frames of the clip.
        places_T: which of these frames the heads speak about.

    Raises:
        NotMeasured: when a prediction holds something that is no number.
    """
    chosen = torch.from_numpy(places_T)
    found: dict[str, float] = {}
    if said.metric_scale is not None and not (
        math.isfinite(said.metric_scale) and said.metric_scale > 0
    ):
        raise NotMeasured(f"its predicted scale is {said.metric_scale}")
    if said.depth_THW is not None:
        found |= _depth(said.depth_THW, truth.depth_THW[chosen], said.metric_scale)
    if said.pose_encoding_TK is not None:
        H, W = truth.depth_THW.shape[1:]
        true_TK = encode_pose(
            relative_to_first(truth.camera_from_world_T44[chosen]),
            truth.intrinsics_T33[chosen],
            (H, W),
        )
        found |= _camera(said.pose_encoding_TK.double().cpu(), true_TK, said.metric_scale)
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _depth(
    depth_THW: torch.Tensor, truth_THW: torch.Tensor, scale: float | None
) -> dict[str, float]:
    depth_THW = depth_THW.double().cpu()
    bad = int((~depth_THW.isfinite()).sum())
    if bad:
        raise NotMeasured(f"its predicted depth is no finite number at {bad} pixels")
    if not bool(valid_pixels(truth_THW).any()):
        raise NotMeasured("its ground truth has no pixel with a depth")
    if depth_THW.shape != truth_THW.shape:
        # a prediction is brought to the truth's size, never the truth to the prediction's
        depth_THW = torch.nn.functional.interpolate(
            depth_THW[None], truth_THW.shape[1:], mode="bilinear", align_corners=False
        )[0]
    found: dict[str, float] = {}
    for alignment in ALIGNMENTS:
        if alignment == "none" and scale is None:
            continue
        own = scale if alignment == "none" and scale is not None else 1.0
        errors, suffix = depth_errors(own * depth_THW, truth_THW, alignment), SUFFIX[alignment]
        found[f"abs_rel{suffix}"] = errors.abs_rel
        found[f"rmse{suffix}"] = errors.rmse
        found[f"delta1{suffix}"] = errors.delta1
    if scale is not None:
        # how many metres the unit is in which the model speaks is for its own depth to say
        true = clip_scale(depth_THW, truth_THW, "median")
        found["scale_log_error"], found["scale_relative_error"] = scale_errors(scale, true)
    return found


def _camera(pose_TK: torch.Tensor, true_TK: torch.Tensor, scale: float | None) -> dict[str, float]:
    if not bool(pose_TK[:, :7].isfinite().all()):
        raise NotMeasured("its predicted poses hold something that is no finite number")
    if bool((pose_TK[:, 3:7].norm(dim=-1) == 0).any()):
        raise NotMeasured("its predicted rotations hold a quaternion of length zero")
    pairs = pair_errors(pose_TK, true_TK)
    areas = pose_auc(pairs.worse(), AUC_DEGREES)
    path = path_errors(pose_TK, true_TK)
    found = {
        "rotation_deg": float(pairs.rotation_N.mean()),
        "direction_deg": float(pairs.direction_N.nanmean()),
        **{f"auc_{degrees}": area for degrees, area in zip(AUC_DEGREES, areas, strict=True)},
        "rpe_rotation_deg": path.rpe_rotation_deg,
        "rpe_translation": path.rpe_translation,
        "ate": path.ate,
    }
    if scale is not None:
        metres_TK = torch.cat([scale * pose_TK[:, :3], pose_TK[:, 3:]], dim=-1)
        found["ate_rigid"] = path_errors(metres_TK, true_TK).ate_rigid
    return found
