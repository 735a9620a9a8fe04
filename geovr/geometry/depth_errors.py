"""Errors of depth maps, as they are and after one scale for the whole clip.

AbsRel, RMSE and the share within a ratio of 1.25 are those of Eigen et al. 2014 (Depth Map
Prediction from a Single Image), which every later paper takes over. A model that knows no metres
is compared after alignment: `median`, the ratio of the medians, is Zhou et al. 2017 (Unsupervised
Learning of Depth and Ego-Motion); `least_squares` minimises the squared difference, as MiDaS
(Ranftl et al. 2020) does with a shift besides. One scale for all frames of a clip, rather than one
for each frame, is MonST3R's (Zhang et al. 2024): frames that drift apart stay wrong.

Shape suffixes: T frames, H W pixels, N valid pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from geovr.geometry.alignment import exact_quantile, least_squares_scale

Alignment = Literal["none", "median", "least_squares"]
ALIGNMENTS: tuple[Alignment, ...] = ("none", "median", "least_squares")
RATIO = 1.25


@dataclass(frozen=True)
class DepthErrors:
    """Over all valid pixels of a clip together.

    Attributes:
        abs_rel: mean of |d - d*| / d*.
        rmse: root of the mean of (d - d*)^2, in the truth's unit.
        delta1: share of pixels with max(d / d*, d* / d) < 1.25; a depth that is not positive is
            in no such ratio.
        scale: that the prediction was multiplied by.
    """

    abs_rel: float
    rmse: float
    delta1: float
    scale: float


def valid_pixels(truth_THW: torch.Tensor) -> torch.Tensor:
    """Where the truth is a depth: finite and above zero."""
    return truth_THW.isfinite() & (truth_THW > 0)


def clip_scale(depth_THW: torch.Tensor, truth_THW: torch.Tensor, alignment: Alignment) -> float:
    """By what a clip's predicted depth is multiplied to fit the truth; see the module's docstring.

    NaN where there is no valid pixel, and where no positive scale fits.
    """
    if alignment == "none":
        return 1.0
    valid = valid_pixels(truth_THW)
    said_N, true_N = depth_THW[valid].double(), truth_THW[valid].double()
    if not len(true_N):
        return math.nan
    if alignment == "median":
        middle = float(exact_quantile(said_N, 0.5))
        scale = float(exact_quantile(true_N, 0.5)) / middle if middle > 0 else math.nan
    else:
        scale = least_squares_scale(true_N, said_N)
    return scale if math.isfinite(scale) and scale > 0 else math.nan


def depth_errors(
    depth_THW: torch.Tensor, truth_THW: torch.Tensor, alignment: Alignment = "none"
) -> DepthErrors:
    """Errors of a clip's depth over the pixels whose truth is valid.

    Args:
        depth_THW: predicted, finite where the truth is valid; in the truth's unit unless it is
            aligned.
        truth_THW: true depth; what is not finite or not above zero is left out.
        alignment: how the prediction is scaled first.

    Returns:
        all NaN where `clip_scale` is, and where there is no valid pixel.
    """
    scale = clip_scale(depth_THW, truth_THW, alignment)
    valid = valid_pixels(truth_THW)
    said_N, true_N = scale * depth_THW[valid].double(), truth_THW[valid].double()
    if not len(true_N) or math.isnan(scale):
        return DepthErrors(math.nan, math.nan, math.nan, math.nan)
    off_N = said_N - true_N
    # written without a division by the prediction, so that zero and less are just wrong
    near = (said_N < RATIO * true_N) & (true_N < RATIO * said_N)
    return DepthErrors(
        abs_rel=float((off_N.abs() / true_N).mean()),
        rmse=float(off_N.square().mean().sqrt()),
        delta1=float(near.double().mean()),
        scale=scale,
    )


def scale_errors(scale: float, truth: float) -> tuple[float, float]:
    """|log(s / s*)|, which takes double and half as equally wrong, and |s / s* - 1|."""
    if not (scale > 0 and truth > 0):
        return math.nan, math.nan
    return abs(math.log(scale / truth)), abs(scale / truth - 1)
