"""Ridge regression in closed form from sums alone, cross-fitted over folds.

A fold is known by its sums of x, y, x x', x y' and y^2, so that neither fitting nor choosing the
penalty needs the rows again, however many there are. Inputs are standardised, the intercept is not
penalised: with z = (x - mean) / std and n rows,

    minimise  |y - mean - z b|^2 / n  +  a |b|^2,   so   b = (Z'Z / n + a I)^-1 Z'Y / n

(Hoerl and Kennard 1970). Nested cross-validation: each fold is predicted by a fit to all others,
whose penalty was chosen by leaving out one of those others at a time.

Shape suffixes: N rows, D inputs, Q outputs, K folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

PENALTIES = tuple(10.0**power for power in range(-6, 4))
"""Of standardised inputs, so that 1 halves what a direction of unit variance says."""
_DEAD = 1e-7
"""An input that varies by less than this share of its size says nothing that float32 could."""


@dataclass
class Moments:
    """Sums over rows, float64; rows are taken in as they come."""

    count: int
    x_D: torch.Tensor
    y_Q: torch.Tensor
    xx_DD: torch.Tensor
    xy_DQ: torch.Tensor
    yy_Q: torch.Tensor

    @classmethod
    def zero(cls, inputs: int, outputs: int, device: torch.device | None = None) -> Moments:
        """Of no rows."""

        def empty(*shape: int) -> torch.Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        D, Q = inputs, outputs
        return cls(0, empty(D), empty(Q), empty(D, D), empty(D, Q), empty(Q))

    def add(self, x_ND: torch.Tensor, y_NQ: torch.Tensor) -> None:
        """Take more rows in."""
        x_ND, y_NQ = x_ND.double(), y_NQ.double()
        self.count += len(x_ND)
        self.x_D += x_ND.sum(0)
        self.y_Q += y_NQ.sum(0)
        self.xx_DD.addmm_(x_ND.T, x_ND)
        self.xy_DQ.addmm_(x_ND.T, y_NQ)
        self.yy_Q += y_NQ.square().sum(0)

    def merge(self, other: Moments) -> None:
        """Take the rows of another one in."""
        self.count += other.count
        for name in ("x_D", "y_Q", "xx_DD", "xy_DQ", "yy_Q"):
            getattr(self, name).add_(getattr(other, name))


def add_up(parts: Sequence[Moments]) -> Moments:
    """All rows of some folds."""
    total = Moments.zero(len(parts[0].x_D), len(parts[0].y_Q), parts[0].x_D.device)
    for part in parts:
        total.merge(part)
    return total


@dataclass(frozen=True)
class Linear:
    """y = x @ weight_DQ + bias_Q."""

    weight_DQ: torch.Tensor
    bias_Q: torch.Tensor

    def __call__(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Predictions (N, Q), float64."""
        return x_ND.double() @ self.weight_DQ + self.bias_Q

    def columns(self, chosen: slice) -> Linear:
        """Of some outputs."""
        return Linear(self.weight_DQ[:, chosen], self.bias_Q[chosen])

    def squared_error(self, rows: Moments) -> torch.Tensor:
        """Sum over rows of the squared error of each output, (Q,), from their sums alone."""
        w, b, n = self.weight_DQ, self.bias_Q, rows.count
        cross = (w * rows.xy_DQ).sum(0) + b * rows.y_Q
        said = (w * (rows.xx_DD @ w)).sum(0) + 2 * b * (rows.x_D @ w) + n * b.square()
        return (rows.yy_Q - 2 * cross + said).clamp(min=0)


def fit(rows: Moments, penalties: Sequence[float]) -> Iterator[Linear]:
    """The fit to some rows with each penalty."""
    mean_D, mean_Q = rows.x_D / rows.count, rows.y_Q / rows.count
    cov_DD = rows.xx_DD / rows.count - torch.outer(mean_D, mean_D)
    size_D = (rows.xx_DD.diagonal() / rows.count).sqrt()
    std_D = cov_DD.diagonal().clamp(min=0).sqrt()
    dead = std_D <= _DEAD * size_D
    per_std_D = torch.where(dead, 0.0, 1 / torch.where(dead, 1.0, std_D))
    zz_DD = per_std_D[:, None] * cov_DD * per_std_D
    zy_DQ = per_std_D[:, None] * (rows.xy_DQ / rows.count - torch.outer(mean_D, mean_Q))
    # of few rows the matrix is singular, and rounding may take an eigenvalue below zero
    value_D, vector_DD = torch.linalg.eigh(zz_DD)
    along_DQ = vector_DD.T @ zy_DQ
    for penalty in penalties:
        solved = vector_DD @ (along_DQ / (value_D.clamp(min=0) + penalty)[:, None])
        weight_DQ = per_std_D[:, None] * solved
        yield Linear(weight_DQ, mean_Q - mean_D @ weight_DQ)


@dataclass(frozen=True)
class CrossFit:
    """For each fold the fit to all others.

    Attributes:
        linear_K: maps all inputs to all outputs.
        penalties: group of outputs -> the penalty chosen for each fold.
        mean_KQ: the outputs' means over the other folds, what a constant would answer.
    """

    linear_K: tuple[Linear, ...]
    penalties: dict[str, tuple[float, ...]]
    mean_KQ: torch.Tensor


def cross_fit(
    folds: Sequence[Moments],
    groups: dict[str, slice],
    penalties: Sequence[float] = PENALTIES,
) -> CrossFit:
    """Fit all folds but one, for each; every group of outputs has a penalty of its own.

    Args:
        folds: at least three, none empty.
        groups: slices that together are all outputs, in their order.
        penalties: to choose from.
    """
    K = len(folds)
    # [fold that is to be predicted later][penalty]: error on the inner folds, of each output
    inner = torch.zeros(K, len(penalties), len(folds[0].y_Q), dtype=torch.float64)
    # the fit without folds j and k serves both: it is scored on j for k, and on k for j
    for j, k in combinations(range(K), 2):
        rest = add_up([folds[fold] for fold in range(K) if fold not in (j, k)])
        for place, linear in enumerate(fit(rest, penalties)):
            inner[k, place] += linear.squared_error(folds[j]).cpu()
            inner[j, place] += linear.squared_error(folds[k]).cpu()
    best = {
        name: inner[:, :, columns].sum(-1).argmin(1).tolist() for name, columns in groups.items()
    }
    linear_K, means = [], []
    for k in range(K):
        rest = add_up([folds[fold] for fold in range(K) if fold != k])
        needed = sorted({places[k] for places in best.values()})
        fits = dict(zip(needed, fit(rest, [penalties[place] for place in needed]), strict=True))
        parts = [fits[best[name][k]].columns(columns) for name, columns in groups.items()]
        linear_K.append(
            Linear(
                torch.cat([part.weight_DQ for part in parts], dim=1),
                torch.cat([part.bias_Q for part in parts]),
            )
        )
        means.append(rest.y_Q / rest.count)
    chosen = {name: tuple(penalties[place] for place in places) for name, places in best.items()}
    return CrossFit(tuple(linear_K), chosen, torch.stack(means))
