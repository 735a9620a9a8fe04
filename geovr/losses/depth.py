"""The depth loss: trimmed L1 plus gradients at four scales, or a scale-invariant log error.

Shape suffixes: B samples, T frames, H W pixels.
"""

from __future__ import annotations

import math

import torch

TRIM = 0.98
CLAMP = 100.0
_FEW = 1000
_STRIDES = (1, 2, 4, 8)


def _trimmed_l1(residual: torch.Tensor) -> torch.Tensor:
    """Mean of the residuals up to their 98th percentile; all of them when they are few."""
    absolute = residual.abs().reshape(-1)
    if absolute.numel() <= _FEW:
        return absolute.clamp(max=CLAMP).mean()
    k = math.ceil(TRIM * (absolute.numel() - 1)) + 1
    threshold = absolute.detach().kthvalue(k).values.clamp(max=CLAMP)
    kept = absolute <= threshold
    return torch.where(kept, absolute, 0).sum() / kept.sum()


def _gradient(residual_THW: torch.Tensor) -> torch.Tensor:
    """Mean absolute differences across and down, averaged over strides 1, 2, 4, 8."""
    scales = []
    for stride in _STRIDES:
        r = residual_THW[..., ::stride, ::stride]
        if r.shape[-1] < 2 or r.shape[-2] < 2:
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
    residual = predicted_BTHW - target_BTHW
    return torch.stack([_trimmed_l1(sample) + _gradient(sample) for sample in residual])


def silog_loss(predicted_BTHW: torch.Tensor, target_BTHW: torch.Tensor) -> torch.Tensor:
    """Per-sample sqrt(E[d^2] - 0.5 E[d]^2 + 1e-6) with d the difference of log depths.

    Returns:
        (B,) losses.
    """
    d = (predicted_BTHW.clamp(min=1e-6).log() - target_BTHW.clamp(min=1e-6).log()).flatten(1)
    return (d.square().mean(-1) - 0.5 * d.mean(-1).square() + 1e-6).sqrt()
