"""Attention of the vision tower, all frames of one size at once.

Stock Qwen3-VL calls the kernel once a frame; here frames that follow each other and have one size
are one call.

Shape suffixes: P patches of all frames, D width, F frames, N heads, L patches of a frame, C
channels of a head.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision


class FrameAttention(nn.Module):
    """Takes the place of an attention layer of the tower; same parameters under the same names.

    Args:
        stock: `visual.blocks[i].attn`.
    """

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.qkv, self.proj = stock.qkv, stock.proj
        self.num_heads, self.scaling = stock.num_heads, stock.scaling

    def forward(
        self,
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        **kwargs: Any,
    ) -> torch.Tensor:
        """(P, D) to (P, D); patches see those of their own frame.

        Args:
            hidden_states: (P, D).
            cu_seqlens: where frames begin, and P.
            position_embeddings: cosine and sine, (P, C) each.
            **kwargs: of other attention kernels.
        """
        P = hidden_states.shape[0]
        q, k, v = self.qkv(hidden_states).reshape(P, 3, self.num_heads, -1).unbind(1)
        q, k = apply_rotary_pos_emb_vision(q, k, *position_embeddings)
        runs = [
            (length, len(list(same)))
            for length, same in itertools.groupby(cu_seqlens.diff().tolist())
        ]
        sizes = [length * frames for length, frames in runs]
        split = [torch.split(x, sizes) for x in (q, k, v)]
        outputs = [
            _attend(frames, *parts, scaling=self.scaling)
            for (_, frames), *parts in zip(runs, *split, strict=True)
        ]
        attended: torch.Tensor = self.proj(torch.cat(outputs))
        return attended


def _attend(
    frames: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scaling: float
) -> torch.Tensor:
    """Frames of one size, (F * L, N, C) each, to (F * L, N * C)."""
    q, k, v = (x.view(frames, -1, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
    output = F.scaled_dot_product_attention(q, k, v, scale=scaling)
    return output.transpose(1, 2).flatten(0, 1).flatten(1)
