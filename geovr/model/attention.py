"""Attention for rows that share a prefix, without an L x L mask.

Rows stand one after the other in a single sequence, without padding. Each starts with a causal
prefix, for which any causal kernel is exact; only the tail behind it, questions and read-out
tokens, needs a mask, of (tail x row) entries. Registered with transformers under NAME; calls
without rows are plain SDPA, mask and all.

Shape suffixes: B batch, N heads, L tokens, C channels of a head, Q tokens of a tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from geovr.model.memory import PrefixMemory

NAME = "geovr_shared_prefix"
_BUCKET = 16
"""Tails whose lengths differ by less are padded to one; at most so many tokens are computed in
vain."""


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


@dataclass(frozen=True)
class Tails:
    """Tails of about one length behind prefixes of one length: they meet the kernel at once.

    Attributes:
        rows: whose they are, by number.
        tail: tokens of the longest, to which the others are padded.
        mask_RQL: bool; padding sees the prefix, and is seen by nothing.
    """

    rows: tuple[int, ...]
    tail: int
    mask_RQL: torch.Tensor


def group_tails(rows: Sequence[PackedRow]) -> tuple[Tails, ...]:
    """The rows that have tails, those of nearly one shape together."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, row in enumerate(rows):
        tail = row.length - row.prefix
        if tail:
            alike.setdefault((row.prefix, -(-tail // _BUCKET)), []).append(number)
    groups = []
    for (prefix, _), numbers in alike.items():
        tails = [rows[number].length - prefix for number in numbers]
        masks = []
        for number, tail in zip(numbers, tails, strict=True):
            more = max(tails) - tail
            mask = F.pad(rows[number].tail_mask_QL, (0, more, 0, more))
            mask[tail:, :prefix] = True  # a row of nothing would be NaN in some kernels
            masks.append(mask)
        groups.append(Tails(tuple(numbers), max(tails), torch.stack(masks)))
    return tuple(groups)


def shared_prefix_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    rows: tuple[PackedRow, ...] | None = None,
    tails: tuple[Tails, ...] | None = None,
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
        tails: of the rows, as group_tails has them; grouped here when not given.
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
    # split, not sliced: the gradient of a slice is a whole sequence of zeros
    sizes = [size for row in rows for size in (row.prefix, row.length - row.prefix)]
    q, k, v = ([part[0] for part in torch.split(x, sizes, dim=2)] for x in (query, key, value))
    done = list(q)  # of each part, replaced by what it becomes
    same: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        same.setdefault(row.prefix, []).append(2 * number)
    for places in same.values():
        outputs = F.scaled_dot_product_attention(
            torch.stack([q[place] for place in places]),
            torch.stack([k[place] for place in places]),
            torch.stack([v[place] for place in places]),
            is_causal=True,
            scale=scaling,
            dropout_p=dropout,
            enable_gqa=query.shape[1] > key.shape[1],
        )
        for place, output in zip(places, outputs.unbind(), strict=True):
            done[place] = output
    for group in group_tails(rows) if tails is None else tails:
        _attend_tails(group, q, k, v, done, scaling, dropout)
    return torch.cat(done, dim=1).transpose(0, 1)[None], None


def _attend_tails(
    group: Tails,
    q: list[torch.Tensor],
    k: list[torch.Tensor],
    v: list[torch.Tensor],
    done: list[torch.Tensor],
    scaling: float | None,
    dropout: float,
) -> None:
    """Put the outputs of a group's tails into `done`; lists hold prefix and tail of each row."""
    places = [2 * row + 1 for row in group.rows]

    def padded(part_NLC: torch.Tensor) -> torch.Tensor:
        more = group.tail - part_NLC.shape[1]
        return F.pad(part_NLC, (0, 0, 0, more)) if more else part_NLC

    query_RNQC = torch.stack([padded(q[place]) for place in places])
    key_RNLC, value_RNLC = (
        torch.stack([torch.cat([x[place - 1], padded(x[place])], dim=1) for place in places])
        for x in (k, v)
    )
    R, heads, Q, C = query_RNQC.shape
    N = key_RNLC.shape[1]
    # heads that share keys become more queries of it: nothing is copied
    output = F.scaled_dot_product_attention(
        query_RNQC.reshape(R, N, heads // N * Q, C),
        key_RNLC,
        value_RNLC,
        attn_mask=group.mask_RQL[:, None].repeat(1, 1, heads // N, 1),
        scale=scaling,
        dropout_p=dropout,
    )
    for place, tail in zip(places, output.reshape(R, heads, Q, C).unbind(), strict=True):
        done[place] = tail[:, : q[place].shape[1]]


def register() -> None:
    """Make NAME known to transformers; ordinary calls get SDPA's masks."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, shared_prefix_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
