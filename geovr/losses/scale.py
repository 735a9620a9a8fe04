"""The loss of the metric scale, one number a clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from geovr.losses.precision import at_least_float32


def scale_loss(log_scale_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
    """|log(1 + S) - log(1 + S')| with S' = exp(log_scale).

    log(1 + exp(z)) is softplus(z), which doesn't overflow.

    Args:
        log_scale_B: the head's output z.
        target_B: metres per unit of the teacher, positive.

    Returns:
        (B,) losses.
    """
    log_scale_B, target_B = at_least_float32(log_scale_B), at_least_float32(target_B)
    return (F.softplus(log_scale_B) - torch.log1p(target_B)).abs()
