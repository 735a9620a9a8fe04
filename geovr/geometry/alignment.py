"""The metric scale of a clip: how many metres one unit of a relative depth is.

A metric teacher gives canonical depth, that of a camera with a focal length of 300 px. Times a
frame's own focal length over 300 it is metres (Depth Anything 3's rule). One scalar per clip then
fits the relative depth to it, over the pixels that both teachers can be trusted on.

Everything here is deterministic: quantiles are exact, where the reference draws 100,000 pixels.

Shape suffixes: T frames, H W pixels, N chosen pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

ScaleEstimator = Literal["least_squares", "median"]

CANONICAL_FOCAL = 300.0
SKY_THRESHOLD = 0.3
MIN_RELATIVE_DEPTH = 1e-3
MIN_METRIC_DEPTH = 1e-2
MIN_FOV = math.radians(1)
"""A narrower camera is a network that failed: its focal length, and so its metres, mean nothing."""
MIN_PIXELS = 10
"""With this many usable pixels or fewer a clip has no scale; upstream raises there."""


@dataclass(frozen=True)
class MetricScale:
    """Metres per relative unit, whether it is defined, and from how many pixels it came."""

    scale: float
    valid: bool
    pixels: int


UNDEFINED = MetricScale(scale=1.0, valid=False, pixels=0)


def exact_quantile(values_N: torch.Tensor, share: float) -> torch.Tensor:
    """Quantile with linear interpolation between neighbours, of any number of values.

    torch.quantile means the same but refuses more than 16 million values.
    """
    place = share * (values_N.numel() - 1)
    low = math.floor(place)
    below = torch.kthvalue(values_N.flatten(), low + 1).values
    if place == low:
        return below
    above = torch.kthvalue(values_N.flatten(), low + 2).values
    return below + (above - below) * (place - low)


def focal_lengths(fov_T2: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Mean of fx and fy in pixels (T), from (fov_h, fov_w) in radians at an image size (H, W).

    NaN where a field of view is below one degree or not below 180: such a frame has no metres.
    """
    height, width = size
    possible = ((fov_T2 > MIN_FOV) & (fov_T2 < math.pi)).all(-1)
    fy = height / 2 / torch.tan(fov_T2[:, 0] / 2)
    fx = width / 2 / torch.tan(fov_T2[:, 1] / 2)
    return torch.where(possible, (fx + fy) / 2, math.nan)


def fill_sky(depth_THW: torch.Tensor, sky_THW: torch.Tensor) -> torch.Tensor:
    """Depth with its sky at the 99th percentile of everything else.

    As upstream, nothing changes when there are ten pixels or fewer of either kind.
    """
    sky = ~(sky_THW < SKY_THRESHOLD)
    if int(sky.sum()) <= MIN_PIXELS or int((~sky).sum()) <= MIN_PIXELS:
        return depth_THW
    return torch.where(sky, exact_quantile(depth_THW[~sky], 0.99), depth_THW)


def metric_depth(canonical_THW: torch.Tensor, focal_T: torch.Tensor) -> torch.Tensor:
    """Canonical depth to metres: times the focal length over 300."""
    return canonical_THW * (focal_T / CANONICAL_FOCAL)[:, None, None]


def alignment_mask(
    relative_THW: torch.Tensor,
    confidence_THW: torch.Tensor,
    metric_THW: torch.Tensor,
    sky_THW: torch.Tensor,
) -> torch.Tensor:
    """Pixels to fit on: not sky, at least median confidence, and not at the camera.

    The median is over what is not sky. Pixels that are not finite never count.
    """
    finite = relative_THW.isfinite() & metric_THW.isfinite() & confidence_THW.isfinite()
    ground = (sky_THW < SKY_THRESHOLD) & finite
    if not bool(ground.any()):
        return ground
    confident = confidence_THW >= exact_quantile(confidence_THW[ground], 0.5)
    near = (metric_THW <= MIN_METRIC_DEPTH) | (relative_THW <= MIN_RELATIVE_DEPTH)
    return ground & confident & ~near


def least_squares_scale(metric_N: torch.Tensor, relative_N: torch.Tensor) -> float:
    """The S that minimises |metric - S relative|^2: <metric, relative> / <relative, relative>."""
    metric, relative = metric_N.double(), relative_N.double()
    return float((metric * relative).sum() / (relative * relative).sum().clamp(min=1e-12))


def median_scale(metric_N: torch.Tensor, relative_N: torch.Tensor) -> float:
    """The median of the pixels' own ratios; up to half of them may be wrong."""
    return float(exact_quantile(metric_N.double() / relative_N.double(), 0.5))


def metric_scale(
    relative_THW: torch.Tensor,
    confidence_THW: torch.Tensor,
    metric_THW: torch.Tensor,
    sky_THW: torch.Tensor,
    estimator: ScaleEstimator = "least_squares",
) -> MetricScale:
    """One scale for all frames of a clip.

    Args:
        relative_THW: depth in the relative teacher's unit.
        confidence_THW: its confidence, of any range.
        metric_THW: depth in metres (see `metric_depth`).
        sky_THW: the metric teacher's sky map; at 0.3 and above a pixel is sky.
        estimator: least_squares weighs far pixels by the square of their depth; median doesn't.

    Returns:
        A scale that is not valid when too few pixels are left, or none that is positive comes out.
    """
    mask = alignment_mask(relative_THW, confidence_THW, metric_THW, sky_THW)
    pixels = int(mask.sum())
    if pixels <= MIN_PIXELS:
        return UNDEFINED
    fit = least_squares_scale if estimator == "least_squares" else median_scale
    scale = fit(metric_THW[mask], relative_THW[mask])
    if not (math.isfinite(scale) and scale > 0):
        return UNDEFINED
    return MetricScale(scale, True, pixels)
