"""The feature loss: how far predicted features turn away from the teacher's.

Shape suffixes: B samples, P tokens, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from geovr.losses.precision import at_least_float32


def feature_loss(predicted_BPC: torch.Tensor, target_BPC: torch.Tensor) -> torch.Tensor:
    """Mean cosine distance over tokens; a token whose target is zero counts as 1, without gradient.

    Returns:
        (B,) losses in [0, 2].
    """
    predicted_BPC, target_BPC = at_least_float32(predicted_BPC), at_least_float32(target_BPC)
    return (1 - F.cosine_similarity(predicted_BPC, target_BPC, dim=-1)).mean(-1)
