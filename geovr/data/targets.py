"""What a teacher says about a clip, and its object in the store.

Features are stored as int8 with one scale per group of 64 channels: the loss is a cosine, and the
rounding lowers it by less than 1e-4; by 5e-4 at worst, where one channel outweighs all others of
its group.

Shape suffixes: T frames, K=9 pose numbers, H W rows and columns, N=4 levels, C channels, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geovr.data.objects import seal, unseal
from geovr.storage import Store

GROUP = 64
CODE_VERSION = 1
"""Part of every teacher key; raise it when the object's content changes."""


@dataclass(frozen=True)
class GeometryTargets:
    """Targets of one clip; lengths are in the teacher's arbitrary unit.

    Attributes:
        pose_encoding_TK: see geometry/camera.py.
        depth_THW: depth along the camera's axis.
        confidence_THW: in [0, 1].
        metric_scale: metres per unit; meaningless when not valid.
        metric_scale_valid: whether the scale is defined.
        features_NTHWC: of four levels, shallow first, on the pooled grid.
    """

    pose_encoding_TK: np.ndarray
    depth_THW: np.ndarray
    confidence_THW: np.ndarray
    metric_scale: float
    metric_scale_valid: bool
    features_NTHWC: np.ndarray


def quantise(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., C) features to int8 and float16 scales (..., G), one per group of 64 channels."""
    C = features.shape[-1]
    groups = -(-C // GROUP)
    padded = np.zeros((*features.shape[:-1], groups * GROUP), dtype=np.float32)
    padded[..., :C] = features
    grouped = padded.reshape(*features.shape[:-1], groups, GROUP)
    scales = (np.abs(grouped).max(-1) / 127).astype(np.float16)
    # the smallest float16 keeps a group of zeros, or of tiny values, from dividing by zero
    scales = np.maximum(scales, np.finfo(np.float16).smallest_subnormal)
    steps = np.clip(np.rint(grouped / scales[..., None].astype(np.float32)), -127, 127)
    return steps.astype(np.int8).reshape(padded.shape)[..., :C], scales


def dequantise(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The inverse of `quantise`, float32."""
    wide = np.repeat(scales.astype(np.float32), GROUP, axis=-1)[..., : values.shape[-1]]
    return values.astype(np.float32) * wide


def encode(targets: GeometryTargets) -> bytes:
    """The object's bytes; equal targets give equal bytes."""
    values, scales = quantise(targets.features_NTHWC)
    tensors = {
        "pose_encoding_TK": targets.pose_encoding_TK.astype(np.float32),
        "depth_THW": targets.depth_THW.astype(np.float16),
        "confidence_THW": np.rint(targets.confidence_THW * 255).astype(np.uint8),
        "metric_scale": np.asarray([targets.metric_scale], dtype=np.float32),
        "metric_scale_valid": np.asarray([targets.metric_scale_valid], dtype=np.uint8),
        "features_NTHWC": values,
        "feature_scales_NTHWG": scales,
    }
    return seal(tensors)


def decode(data: bytes) -> GeometryTargets:
    """Targets from an object's bytes; depth, confidence and features as float32."""
    tensors = unseal(data)
    return GeometryTargets(
        pose_encoding_TK=tensors["pose_encoding_TK"],
        depth_THW=tensors["depth_THW"].astype(np.float32),
        confidence_THW=tensors["confidence_THW"].astype(np.float32) / 255,
        metric_scale=float(tensors["metric_scale"][0]),
        metric_scale_valid=bool(tensors["metric_scale_valid"][0]),
        features_NTHWC=dequantise(tensors["features_NTHWC"], tensors["feature_scales_NTHWG"]),
    )


def read_targets(store: Store, row: Any) -> GeometryTargets:
    """The targets that a row of a TargetSet's index names, verified."""
    return decode(store.get(row.object_key, row.object_sha256))
