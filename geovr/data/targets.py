"""What a teacher says about a clip, and its object in the store.

Features are stored as directions, in int8 with one scale per group of 64 channels: the loss is a
cosine, and the rounding changes it by less than 1e-4 (`make bench-targets` measures it); by 5e-4
at worst, where one channel outweighs all others of its group. Depth is float16, or the logarithm
in 16 bits; confidence is 8 bits.

Shape suffixes: T frames, K=9 pose numbers, H W rows and columns, N=4 levels, C channels, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from geovr.data.objects import seal, unseal
from geovr.data.quantise import decode_log_depth, dequantise, encode_log_depth, quantise
from geovr.data.target_format import TargetFormat
from geovr.storage import Store

CODE_VERSION = 2
"""Part of every teacher key; raise it when the object's content changes."""
_GROUPS: tuple[Literal[64, 32], ...] = (64, 32)


@dataclass(frozen=True)
class GeometryTargets:
    """Targets of one clip; lengths are in the teacher's arbitrary unit.

    Attributes:
        pose_encoding_TK: see geometry/camera.py.
        depth_THW: depth along the camera's axis.
        confidence_THW: in [0, 1].
        metric_scale: metres per unit; meaningless when not valid.
        metric_scale_valid: whether the scale is defined.
        features_NTHWC: of four levels, shallow first, on the pooled grid; only directions count.
    """

    pose_encoding_TK: np.ndarray
    depth_THW: np.ndarray
    confidence_THW: np.ndarray
    metric_scale: float
    metric_scale_valid: bool
    features_NTHWC: np.ndarray


def encode(targets: GeometryTargets, format: TargetFormat | None = None) -> bytes:
    """The object's bytes; equal targets give equal bytes.

    Raises:
        ValueError: when confidence leaves [0, 1], which 8 bits can't tell.
    """
    format = format or TargetFormat()
    values, scales = quantise(targets.features_NTHWC, format.feature_group)
    confidence = targets.confidence_THW
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidence_THW: a confidence is not a number from 0 to 1")
    tensors = {
        "pose_encoding_TK": targets.pose_encoding_TK.astype(np.float32),
        **depth_tensors(targets.depth_THW, format),
        "confidence_THW": np.rint(confidence * np.float32(255)).astype(np.uint8),
        "metric_scale": np.asarray([targets.metric_scale], dtype=np.float32),
        "metric_scale_valid": np.asarray([targets.metric_scale_valid], dtype=np.uint8),
        "features_NTHWC": values,
        "feature_scales_NTHWG": scales,
    }
    return seal(tensors)


def depth_tensors(depth_THW: np.ndarray, format: TargetFormat) -> dict[str, np.ndarray]:
    """An object's tensors that hold the depth."""
    if format.depth == "log_u16":
        codes, span = encode_log_depth(depth_THW)
        return {"depth_codes_THW": codes, "depth_log_range": span}
    with np.errstate(over="ignore"):  # beyond float16 it becomes infinite, which the gate refuses
        return {"depth_THW": depth_THW.astype(np.float16)}


def decode(data: bytes) -> GeometryTargets:
    """Targets from an object's bytes, whatever its format; features as directions, all float32."""
    tensors = unseal(data)
    return GeometryTargets(
        pose_encoding_TK=tensors["pose_encoding_TK"],
        depth_THW=depth_of(tensors),
        confidence_THW=tensors["confidence_THW"].astype(np.float32) / np.float32(255),
        metric_scale=float(tensors["metric_scale"][0]),
        metric_scale_valid=bool(tensors["metric_scale_valid"][0]),
        features_NTHWC=features_of(tensors),
    )


def format_of(tensors: dict[str, np.ndarray]) -> TargetFormat:
    """The format that an object's tensors have."""
    C, groups = tensors["features_NTHWC"].shape[-1], tensors["feature_scales_NTHWG"].shape[-1]
    return TargetFormat(
        # the sizes differ in the number of groups, or not at all
        feature_group=next(g for g in _GROUPS if groups == -(-C // g)),
        depth="log_u16" if "depth_codes_THW" in tensors else "f16",
    )


def depth_of(tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Depth (T, H, W) from an object's tensors, float32."""
    if "depth_codes_THW" in tensors:
        return decode_log_depth(tensors["depth_codes_THW"], tensors["depth_log_range"])
    depth: np.ndarray = tensors["depth_THW"].astype(np.float32)
    return depth


def features_of(tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Features (N, T, H, W, C) from an object's tensors, as directions, float32."""
    group = format_of(tensors).feature_group
    return dequantise(tensors["features_NTHWC"], tensors["feature_scales_NTHWG"], group)


def read_targets(store: Store, row: Any) -> GeometryTargets:
    """The targets that a row of a TargetSet's index names, verified."""
    return decode(store.get(row.object_key, row.object_sha256))
