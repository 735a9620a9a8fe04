"""The feature loss: how far predicted features turn away from the teacher's.

Shape suffixes: B samples, P tokens, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def feature_loss(predicted_BPC: torch.Tensor, target_BPC: torch.Tensor) -> torch.Tensor:
    """Mean cosine distance over tokens.

    Returns:
        (B,) losses in [0, 2].
    """
    return (1 - F.cosine_similarity(predicted_BPC, target_BPC, dim=-1)).mean(-1)
