"""Feature heads: hidden states of visual tokens to a teacher's features, one head a level."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class FeatureHead(nn.Module):
    """Resize the student's grid to the teacher's, then norm and one hidden layer."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, channels),
            nn.GELU(),
            nn.Linear(channels, channels),
        )

    def forward(self, hidden_NDHW: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """(N, D, h, w) hidden states to (N, H, W, C) features on the teacher's grid."""
        if hidden_NDHW.shape[-2:] != grid:
            hidden_NDHW = F.interpolate(hidden_NDHW, grid, mode="bilinear", align_corners=False)
        features: torch.Tensor = self.layers(hidden_NDHW.permute(0, 2, 3, 1))
        return features.float()
