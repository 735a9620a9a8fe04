"""Scale head: the scale token's hidden state to a log scale."""

from __future__ import annotations

import torch
from torch import nn

from geovr.losses.precision import no_autocast

MAX_LOG_SCALE = 20.0
"""exp is bounded here and at its negative: no teacher's unit is that far from a metre."""


class ScaleHead(nn.Module):
    """Norm and one hidden layer; the metric scale is exp of the output (see scale_from_log).

    One token a clip costs nothing, so it keeps its weights' precision under autocast.
    """

    def __init__(self, width: int, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1)
        )

    def forward(self, hidden_BD: torch.Tensor) -> torch.Tensor:
        """(B, D) hidden states to (B,) log scales, float32."""
        with no_autocast(hidden_BD.device):
            hidden_BD = hidden_BD.to(next(self.layers.parameters()).dtype)
            log_scale: torch.Tensor = self.layers(hidden_BD).squeeze(-1).float()
        return log_scale


def scale_from_log(log_scale_B: torch.Tensor) -> torch.Tensor:
    """Metres per unit, (B,) float32, positive and finite."""
    return log_scale_B.float().clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE).exp()
