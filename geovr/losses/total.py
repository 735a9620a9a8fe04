"""The weighted sum of the five losses, every term still visible.

Terms are sums over samples, divided by the counts of the global batch, so that ranks and
accumulation steps add up to the exact mean whatever the samples on each.
"""

from __future__ import annotations

import torch

from geovr.losses.objectives import Objectives


class LossSums(dict[str, torch.Tensor]):
    """Term -> sum over samples of weight * loss."""

    def add(self, term: str, losses: torch.Tensor, weights: torch.Tensor) -> None:
        """Add sample losses; a weight of 0 masks one (and its NaN) out."""
        used = torch.where(weights > 0, losses * weights, torch.zeros_like(losses)).sum()
        self[term] = self[term] + used if term in self else used

    def total(self, objectives: Objectives, counts: dict[str, float]) -> torch.Tensor:
        """Weighted sum of the terms' means over `counts`, the global ones."""
        parts = [
            objectives.weight(term) * value / max(counts[term], 1.0) for term, value in self.items()
        ]
        return torch.stack(parts).sum()
