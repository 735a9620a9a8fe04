"""Scale head: the scale token's hidden state to a log scale."""

from __future__ import annotations

import torch
from torch import nn


class ScaleHead(nn.Module):
    """Norm and one hidden layer; the metric scale is exp of the output."""

    def __init__(self, width: int, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1)
        )

    def forward(self, hidden_BD: torch.Tensor) -> torch.Tensor:
        """(B, D) hidden states to (B,) log scales, float32."""
        log_scale: torch.Tensor = self.layers(hidden_BD).squeeze(-1).float()
        return log_scale
