"""Several questions about clips, answered behind one prefix a clip that is computed once.

Shape suffixes: R rows (clips), Q tokens of a step, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from geovr.data.batch import Batch
from geovr.model.forward import branch_states, text_states, visual_features
from geovr.model.memory import PAD, PrefixMemory

Tokens = Sequence[Sequence[Sequence[int]]]
"""Of each row, of each of its branches."""


class SharedPrefixes:
    """Rows whose prefixes are computed, and the branches that grow behind them.

    Args:
        backbone: a prepared Qwen3VLForConditionalGeneration (see model/forward.py).
        batch: packed rows without questions, on the backbone's device.
        room: tokens that all branches of a row will likely take together.
        place_tokens: puts camera and scale tokens into embeddings, where rows have them.
    """

    def __init__(
        self,
        backbone: Any,
        batch: Batch,
        room: int,
        place_tokens: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        self.backbone, self.device = backbone, batch.input_ids_BL.device
        tokens = batch.input_ids_BL.reshape(-1)
        starts = zip(batch.starts_R, batch.prefixes_R, strict=True)
        self.ids_R = [tokens[start : start + length] for start, length in starts]
        self.memory = PrefixMemory(batch.prefixes_R, room, self.device)
        self._first = batch.next_R
        self._begin = self.memory.filled
        visual, deepstack = visual_features(backbone, batch)
        text_states(backbone, batch, visual, deepstack, place_tokens, self.memory)
        self._length: list[dict[int, int]] = [{} for _ in self._first]

    def mark(self) -> tuple[int, list[dict[int, int]]]:
        """Where the branches stand, for `rewind`."""
        return self.memory.filled, [dict(row) for row in self._length]

    def rewind(self, mark: tuple[int, list[dict[int, int]]]) -> None:
        """Take back what the branches took in since."""
        self.memory.rewind(mark[0])
        self._length = [dict(row) for row in mark[1]]

    def grow(self, tokens: Tokens) -> list[torch.Tensor]:
        """Branches take in tokens.

        Args:
            tokens: of each row, of each branch, the next ones; none for a branch that rests.

        Returns:
            states (tokens, D) of each branch that grew, in the order of rows and branches.
        """
        rows = [[token for branch in row for token in branch] for row in tokens]
        Q = max(map(len, rows))
        ids = torch.zeros(len(rows), Q, dtype=torch.int64)
        positions = torch.zeros_like(ids)
        segments = torch.full_like(ids, PAD)
        places, sizes = [], []
        for r, row in enumerate(tokens):
            ids[r, : len(rows[r])] = torch.tensor(rows[r], dtype=torch.int64)
            start = 0
            for b, branch in enumerate(row):
                n, known = len(branch), self._length[r].get(b, 0)
                own = slice(start, start + n)
                segments[r, own] = b + 1
                positions[r, own] = self._first[r] + known + torch.arange(n)
                self._length[r][b] = known + n
                start += n
                if n:
                    places.append(torch.arange(n) + r * Q + own.start)
                    sizes.append(n)
        states_RQD = branch_states(
            self.backbone,
            self.memory,
            ids.to(self.device),
            positions.to(self.device),
            segments.to(self.device),
        )
        flat = states_RQD.flatten(0, 1)[torch.cat(places).to(self.device)]
        return list(torch.split(flat, sizes))

    def logits(self, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Logits (tokens, V), float32 on the CPU, after each branch's states."""
        found = self.backbone.lm_head(torch.cat(list(states))).float().cpu()
        return list(torch.split(found, [len(part) for part in states]))

    def log_probs(self, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Log-probabilities (tokens, V), float32 on the CPU, after each branch's states."""
        logits = self.backbone.lm_head(torch.cat(list(states)))
        chances = logits.float().log_softmax(-1).cpu()
        return list(torch.split(chances, [len(part) for part in states]))
