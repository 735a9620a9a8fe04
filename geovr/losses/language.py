"""The language loss: cross-entropy at answer tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from geovr.losses.precision import at_least_float32


def language_loss(logits_MV: torch.Tensor, label_M: torch.Tensor) -> torch.Tensor:
    """Sum of token cross-entropies; the caller divides by the global number of labels.

    Args:
        logits_MV: logits at label places only, so that no (L, V) tensor exists.
        label_M: the tokens.
    """
    return F.cross_entropy(at_least_float32(logits_MV), label_M, reduction="sum")
