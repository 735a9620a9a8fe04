"""What the heads say about clips, in the teacher's terms.

Shape suffixes: T time slots, K=9 pose numbers, H W pixels, C channels of features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from geovr.data.batch import Batch
from geovr.model.geovr import GeoVR
from geovr.model.heads import scale_from_log


@dataclass(frozen=True)
class Prediction:
    """One clip; None where the model has no such head, or the clip no such token.

    Attributes:
        pose_encoding_TK: see geometry/camera.py; the quaternion's length is not one.
        depth_THW: in the unit of the poses.
        metric_scale: metres per unit.
        features: (T, h, w, C) of each learnt level, on the teacher's grid.
    """

    pose_encoding_TK: torch.Tensor | None
    depth_THW: torch.Tensor | None
    metric_scale: float | None
    features: tuple[torch.Tensor, ...] | None


@torch.no_grad()
def predict(
    model: GeoVR, batch: Batch, depth_size: tuple[int, int], feature_grid: tuple[int, int]
) -> list[Prediction]:
    """Predictions for every clip of a batch that was made with the model's tokens.

    Args:
        model: with its heads.
        batch: on the model's device; targets are not looked at.
        depth_size: height and width of the depth maps.
        feature_grid: rows and columns of the features.
    """
    flat, taps = model.states(batch)
    slots = batch.camera_slots_I.tolist()
    poses = scales = None
    if model.objectives.camera:
        poses = model.camera_head(flat[batch.camera_N]).float().split(slots)
    if model.objectives.scale:
        scales = iter(scale_from_log(model.scale_head(flat[batch.scale_S])).tolist())
    said = []
    for clip in range(len(batch.grid_I3)):
        maps = model.level_maps(batch, taps, [clip]) if taps else {}
        depth = features = None
        if model.objectives.depth:
            depth = model.depth_head([maps[layer] for layer in model.depth_layers], depth_size)
        if model.objectives.features:
            heads = zip(model.feature_heads, model.feature_layers, strict=True)
            features = tuple(head(maps[layer], feature_grid) for head, layer in heads)
        scaled = scales is not None and bool(batch.scaled_I[clip])
        said.append(
            Prediction(
                pose_encoding_TK=poses[clip] if poses is not None and slots[clip] else None,
                depth_THW=depth,
                metric_scale=next(scales) if scaled and scales is not None else None,
                features=features,
            )
        )
    return said
