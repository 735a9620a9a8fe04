"""Quaternions and rotation matrices.

Quaternions are (x, y, z, w), scalar last, with w >= 0 where we make them.
"""

from __future__ import annotations

import torch


def quaternion_to_matrix(quaternion: torch.Tensor) -> torch.Tensor:
    """(..., 4) quaternions of any length but zero to (..., 3, 3) rotation matrices."""
    x, y, z, w = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*quaternion.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) rotation matrices to (..., 4) unit quaternions with w >= 0.

    Of the four ways to write a quaternion, the one that divides by its largest component is
    taken, so rotations near 180 degrees lose no digits.
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # four times the square of each component, then its products with the others
    squares = torch.stack([1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz])
    transposed = m.transpose(-1, -2)
    plus, minus = m + transposed, m - transposed
    xy, xz, yz = plus[..., 0, 1], plus[..., 0, 2], plus[..., 1, 2]
    wx, wy, wz = minus[..., 2, 1], minus[..., 0, 2], minus[..., 1, 0]
    candidates = torch.stack(
        [
            torch.stack([squares[0], xy, xz, wx], dim=-1),
            torch.stack([xy, squares[1], yz, wy], dim=-1),
            torch.stack([xz, yz, squares[2], wz], dim=-1),
            torch.stack([wx, wy, wz, squares[3]], dim=-1),
        ]
    )
    best = squares.argmax(0)
    index = best[None, ..., None].expand(1, *best.shape, 4)
    chosen = candidates.gather(0, index)[0]
    chosen = chosen / chosen.norm(dim=-1, keepdim=True)
    return torch.where(chosen[..., 3:] < 0, -chosen, chosen)
