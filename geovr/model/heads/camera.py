"""Camera head: a camera token's hidden state to the nine numbers of a pose."""

from __future__ import annotations

import torch
from torch import nn

from geovr.losses.precision import no_autocast


class CameraHead(nn.Module):
    """Norm, two hidden layers, then translation, quaternion and (non-negative) field of view.

    Dimensions are those of the method; see docs/decisions. One token a frame costs nothing, so it
    keeps its weights' precision under autocast; bfloat16 would round a rotation by up to a third of
    a degree.
    """

    def __init__(self, width: int, hidden: int = 1536) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.translation = nn.Linear(hidden, 3)
        self.quaternion = nn.Linear(hidden, 4)
        self.fov = nn.Linear(hidden, 2)
        # from a bias around 0 the ReLU often starts shut for every token, and then never learns
        nn.init.ones_(self.fov.bias)

    def forward(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """(N, D) hidden states to (N, 9) pose encodings."""
        with no_autocast(hidden_ND.device):
            x = self.trunk(hidden_ND.to(self.fov.weight.dtype))
            fov = self.fov(x).relu()
            return torch.cat([self.translation(x), self.quaternion(x), fov], dim=-1).float()
