"""The patch embedding for slots that hold one frame, without copying pixels.

Shape suffixes: P patches, E values of one frame's patch, D width of the vision tower.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class SlotPatchEmbed(nn.Module):
    """Takes the place of Qwen3-VL's patch embedding; same parameters under the same names.

    A slot of one repeated frame x gives sum_t W_t x = (sum_t W_t) x, so its patches come with the
    values of one frame and meet the kernel summed over time. Patches of all frames of a slot go
    through the stock module's own convolution, bit for bit.

    Args:
        stock: `visual.patch_embed`.
    """

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.proj = stock.proj
        self.stock_forward = type(stock).forward
        self.in_channels, self.embed_dim = stock.in_channels, stock.embed_dim
        self.patch_size = stock.patch_size
        self.temporal_patch_size = stock.temporal_patch_size

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(P, E), or (P, temporal * E) as stock, to (P, D)."""
        weight = self.proj.weight
        if hidden_states.shape[-1] == weight[0].numel():
            full: torch.Tensor = self.stock_forward(self, hidden_states)
            return full
        summed = weight.sum(2).flatten(1)
        return F.linear(hidden_states.to(weight.dtype), summed, self.proj.bias)
