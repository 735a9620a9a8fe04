"""The depth loss: trimmed L1 plus gradients at four scales, or a scale-invariant log error.

Shape suffixes: B samples, T frames, H W pixels.
"""

from __future__ import annotations

import math

import torch

from geovr.losses.precision import at_least_float32

TRIM = 0.98
CLAMP = 100.0
_FEW = 1000
_STRIDES = (1, 2, 4, 8)
_LEAST_PIXELS = 10
"""Of a stride; a coarser one says nothing and is left out."""


def _trimmed_l1(residual: torch.Tensor) -> torch.Tensor:
    """Mean of the residuals up to their 98th percentile, and at most 100.

    When fewer than 1,000 are left, as with 1,001 to 1,019 of them or when nearly all are above
    100, the mean of all, clamped; so too when there are no more than 1,000. The percentile is
    exact however many there are (the paper's code samples a million of more than ten).
    """
    absolute = residual.abs().reshape(-1)
    clamped = absolute.clamp(max=CLAMP).mean()
    if absolute.numel() <= _FEW:
        return clamped
    k = math.ceil(TRIM * (absolute.numel() - 1)) + 1
    threshold = absolute.detach().kthvalue(k).values.clamp(max=CLAMP)
    kept = absolute <= threshold
    left = kept.sum()
    # the branch that isn't taken must be finite too, or its gradient is NaN; hence the clamp
    trimmed = torch.where(kept, absolute, 0).sum() / left.clamp(min=1)
    return torch.where(left < _FEW, clamped, trimmed)


def _gradient(residual_THW: torch.Tensor) -> torch.Tensor:
    """Mean absolute differences across and down, averaged over strides 1, 2, 4, 8."""
    scales = []
    for stride in _STRIDES:
        r = residual_THW[..., ::stride, ::stride]
        if min(r.shape[-2:]) < 2 or r.numel() < _LEAST_PIXELS:
            continue
        across = (r[..., :, 1:] - r[..., :, :-1]).abs().clamp(max=CLAMP).mean()
        down = (r[..., 1:, :] - r[..., :-1, :]).abs().clamp(max=CLAMP).mean()
        scales.append(across + down)
    if not scales:
        return residual_THW.sum() * 0
    return torch.stack(scales).mean()


def depth_loss(predicted_BTHW: torch.Tensor, target_BTHW: torch.Tensor) -> torch.Tensor:
    """Per-sample trimmed L1 plus four-scale gradient loss, in the target's unit.

    Returns:
        (B,) losses.
    """
    residual = at_least_float32(predicted_BTHW) - at_least_float32(target_BTHW)
    return torch.stack([_trimmed_l1(sample) + _gradient(sample) for sample in residual])


def silog_loss(predicted_BTHW: torch.Tensor, target_BTHW: torch.Tensor) -> torch.Tensor:
    """Per-sample sqrt(E[d^2] - 0.5 E[d]^2 + 1e-6) with d the difference of log depths.

    Returns:
        (B,) losses.
    """
    log_BTHW, target_log_BTHW = (
        at_least_float32(depth).clamp(min=1e-6).log() for depth in (predicted_BTHW, target_BTHW)
    )
    d = (log_BTHW - target_log_BTHW).flatten(1)
    return (d.square().mean(-1) - 0.5 * d.mean(-1).square() + 1e-6).sqrt()
