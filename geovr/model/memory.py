"""Keys and values of rows: a prefix each, and the branches that grow behind it.

A row's prefix is computed once. Branches, the questions about it and what is said in answer, come
in steps of some tokens each; a token sees the prefix, its own branch so far, and nothing else.
Rows of different lengths lie in one buffer, padded behind their prefixes.

Shape suffixes: R rows, N heads of keys, G heads of queries that share one, Q tokens of a step,
S places of the buffer, C channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from geovr.model.attention import PackedRow

PREFIX = 0
"""The segment that all see; branches are numbered from 1."""
PAD = -1
_UNUSED = -2


class PrefixMemory:
    """What the language model has computed of some rows.

    Args:
        prefixes: tokens of each row's prefix.
        room: tokens that a row will likely take in behind it, padding included; more cost a copy.
        device: of the model.
    """

    def __init__(self, prefixes: Sequence[int], room: int, device: torch.device) -> None:
        self.prefixes, self.room = tuple(prefixes), room
        self.filled = max(prefixes)
        lengths = torch.tensor(prefixes, device=device)[:, None]
        places = torch.arange(self.filled + room, device=device)[None]
        unused = torch.full((len(prefixes), self.filled + room), _UNUSED, device=device)
        self.segment_RS = torch.where(places < lengths, PREFIX, unused)
        self._mask: torch.Tensor | None = None
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(
        self, layer: int, key: torch.Tensor, value: torch.Tensor, rows: Sequence[PackedRow]
    ) -> None:
        """Take in the prefixes of a layer.

        Args:
            layer: its number.
            key: (1, N, L, C), all rows one after the other.
            value: as key.
            rows: where in them each row lies.
        """
        _, N, _, C = key.shape
        shape = (len(rows), N, self.segment_RS.shape[1], C)
        kept = key.new_zeros(shape), value.new_zeros(shape)
        for r, row in enumerate(rows):
            own = slice(row.start, row.start + row.prefix)
            kept[0][r, :, : row.prefix] = key[0, :, own]
            kept[1][r, :, : row.prefix] = value[0, :, own]
        self._layers[layer] = kept

    def begin(self, segment_RQ: torch.Tensor) -> None:
        """Say to which branch each token of the coming step belongs; PAD where there is none."""
        end = self.filled + segment_RQ.shape[1]
        if end > self.segment_RS.shape[1]:
            self._widen(end)
        self.segment_RS[:, self.filled : end] = segment_RQ
        key, query = self.segment_RS[:, None, :end], segment_RQ[:, :, None]
        places = torch.arange(end, device=segment_RQ.device)
        earlier = places[None] <= places[self.filled :, None]
        self._mask = ((key == PREFIX) | (key == query)) & earlier

    def _widen(self, least: int) -> None:
        """Make room for so many places, and for half as many answers again."""
        more = max(least - self.segment_RS.shape[1], self.room // 2)
        self.room += more
        self.segment_RS = F.pad(self.segment_RS, (0, more), value=_UNUSED)
        for layer, (key, value) in self._layers.items():
            self._layers[layer] = F.pad(key, (0, 0, 0, more)), F.pad(value, (0, 0, 0, more))

    def end(self) -> None:
        """Keep what the step brought."""
        assert self._mask is not None
        self.filled += self._mask.shape[1]
        self._mask = None

    def rewind(self, filled: int) -> None:
        """Forget all that came after the memory held so many places."""
        self.segment_RS[:, filled : self.filled] = _UNUSED
        self.filled = filled

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
    ) -> torch.Tensor:
        """Attention of a step's tokens.

        Args:
            layer: its number.
            query: (R, N * G, Q, C).
            key: (R, N, Q, C).
            value: as key.
            scaling: of the scores.

        Returns:
            (R, Q, N * G, C).
        """
        if self._mask is None:
            raise RuntimeError("memory: a step begins with `begin`")
        R, heads, Q, C = query.shape
        N = key.shape[1]
        keys, values = self._layers[layer]
        end = self.filled + Q
        keys[:, :, self.filled : end], values[:, :, self.filled : end] = key, value
        # heads that share keys become more queries of it: nothing of the prefix is copied
        mask = self._mask[:, None].repeat(1, 1, heads // N, 1)
        out = F.scaled_dot_product_attention(
            query.reshape(R, N, heads // N * Q, C),
            keys[:, :, :end],
            values[:, :, :end],
            attn_mask=mask,
            scale=scaling,
        )
        return out.reshape(R, heads, Q, C).transpose(1, 2)
