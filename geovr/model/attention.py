"""Attention for rows that share a prefix, without an L x L mask.

Rows stand one after the other in a single sequence, without padding. Each starts with a causal
prefix, for which any causal kernel is exact; only the tail behind it, questions and read-out
tokens, needs a mask, of (tail x row) entries. Registered with transformers under NAME; calls
without rows are plain SDPA, mask and all.

Shape suffixes: B batch, N heads, L tokens, C channels of a head, Q tokens of a tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from geovr.model.memory import PrefixMemory

NAME = "geovr_shared_prefix"


@dataclass(frozen=True)
class PackedRow:
    """One row in the sequence.

    Attributes:
        start: its first token.
        prefix: tokens of the causal prefix.
        length: all its tokens.
        tail_mask_QL: bool, which of the row's tokens each one behind the prefix sees.
    """

    start: int
    prefix: int
    length: int
    tail_mask_QL: torch.Tensor


def shared_prefix_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    rows: tuple[PackedRow, ...] | None = None,
    memory: PrefixMemory | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The signature of transformers' attention functions; `rows` makes it ours.

    Args:
        module: the attention layer.
        query: (B, N, L, C).
        key: (B, N / groups, L, C).
        value: as key.
        attention_mask: of plain SDPA; None with `rows`.
        scaling: of the scores.
        dropout: of the weights.
        rows: rows that fill the one sequence (B = 1).
        memory: with rows, takes in their prefixes; without, what the tokens see besides themselves.
        **kwargs: for plain SDPA.

    Returns:
        (B, L, N, C), and None for the weights.
    """
    if memory is not None:
        if rows is None:
            return memory.attend(module.layer_idx, query, key, value, scaling), None
        memory.keep(module.layer_idx, key, value, rows)
    if rows is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return plain
    groups = query.shape[1] // key.shape[1]
    parts = []
    for row in rows:
        own = slice(row.start, row.start + row.length)
        q, k, v = query[:, :, own], key[:, :, own], value[:, :, own]
        P = row.prefix
        parts.append(
            F.scaled_dot_product_attention(
                q[:, :, :P],
                k[:, :, :P],
                v[:, :, :P],
                is_causal=True,
                scale=scaling,
                dropout_p=dropout,
                enable_gqa=groups > 1,
            )
        )
        if row.length == P:
            continue
        parts.append(
            F.scaled_dot_product_attention(
                q[:, :, P:],
                # a masked call with grouped heads would fall back to the slow kernel
                k.repeat_interleave(groups, dim=1),
                v.repeat_interleave(groups, dim=1),
                attn_mask=row.tail_mask_QL[None, None],
                scale=scaling,
                dropout_p=dropout,
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2), None


def register() -> None:
    """Make NAME known to transformers; ordinary calls get SDPA's masks."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, shared_prefix_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
