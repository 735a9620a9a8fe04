"""Depth heads: visual tokens of four levels to depth at the teacher's resolution.

The three of the paper's Table 5; parameters at the 2B model's width equal what it prints (dense
32.3 M, dpt 32.7 M, mlp 13.6 M; docs/decisions/0010-heads.md).

Shape suffixes: N frames, D model width, H W rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from geovr.model.config import NUM_LEVELS, HeadsConfig
from geovr.model.heads.pyramid import Pyramid

MAX_LOG_DEPTH = 10.0
"""exp is bounded here and at its negative: beyond any depth, and float32 stays finite, above 0."""


def depth_from_log(log_depth_N1HW: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Positive float32 depth (N, H, W) of `size`, whatever the precision of the head."""
    log_depth = log_depth_N1HW.float()
    if tuple(log_depth.shape[-2:]) != size:
        log_depth = F.interpolate(log_depth, size, mode="bilinear", align_corners=False)
    return log_depth.squeeze(1).clamp(-MAX_LOG_DEPTH, MAX_LOG_DEPTH).exp()


class DenseDepthHead(nn.Module):
    """The pyramid, then each cell of its map becomes patch * patch pixels.

    Args:
        width: D of the model.
        channels: of the four levels after projection.
        features: of the fusion.
        patch: pixels of the target that one cell of the map covers, down and across.
    """

    def __init__(
        self,
        width: int,
        channels: Sequence[int] = (256, 512, 1024, 1024),
        features: int = 256,
        patch: int = 7,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.pyramid = Pyramid(width, channels, features)
        self.out = nn.Conv2d(features, patch * patch, 1)

    def forward(self, levels: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Four (N, D, h, w) levels, shallow first, to (N, H, W) depth of `size`, positive."""
        x = self.pyramid(levels, cells(size, self.patch), size[1] / size[0])
        return depth_from_log(F.pixel_shuffle(self.out(x), self.patch), size)


class DPTDepthHead(nn.Module):
    """The pyramid, then DPT's output: convolutions around an upsampling to every pixel.

    Args:
        width: D of the model.
        channels: of the four levels after projection.
        features: of the fusion.
        patch: pixels of the target that one cell of the map covers, down and across.
        last: channels before the last layer.
    """

    def __init__(
        self,
        width: int,
        channels: Sequence[int] = (256, 512, 1024, 1024),
        features: int = 256,
        patch: int = 7,
        last: int = 32,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.pyramid = Pyramid(width, channels, features)
        self.reduce = nn.Conv2d(features, features // 2, 3, padding=1)
        self.out = nn.Sequential(
            nn.Conv2d(features // 2, last, 3, padding=1), nn.ReLU(), nn.Conv2d(last, 1, 1)
        )

    def forward(self, levels: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Four (N, D, h, w) levels, shallow first, to (N, H, W) depth of `size`, positive."""
        x = self.reduce(self.pyramid(levels, cells(size, self.patch), size[1] / size[0]))
        x = F.interpolate(x, size, mode="bilinear", align_corners=True)
        return depth_from_log(self.out(x), size)


class MLPDepthHead(nn.Module):
    """Three layers on each level's tokens, summed; each token becomes a square of values.

    Args:
        width: D of the model.
        hidden: of both hidden layers.
        values: of a token, a square number; the map is resized to the target.
    """

    def __init__(self, width: int, hidden: int = 1024, values: int = 256) -> None:
        super().__init__()
        self.side = math.isqrt(values)
        if self.side**2 != values:
            raise ValueError(f"depth_features: {values} values of a token are no square")
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, hidden),
                nn.GELU(),
                nn.Linear(hidden, hidden),
                nn.GELU(),
                nn.Linear(hidden, values),
            )
            for _ in range(NUM_LEVELS)
        )

    def forward(self, levels: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Four (N, D, h, w) levels, shallow first, to (N, H, W) depth of `size`, positive."""
        said = [
            layers(self.norm(level.permute(0, 2, 3, 1)))
            for level, layers in zip(levels, self.levels, strict=True)
        ]
        summed = torch.stack(said).sum(0).permute(0, 3, 1, 2)
        return depth_from_log(F.pixel_shuffle(summed, self.side), size)


def cells(size: tuple[int, int], patch: int) -> tuple[int, int]:
    """Rows and columns of cells of `patch` pixels that cover an image."""
    return max(1, math.ceil(size[0] / patch)), max(1, math.ceil(size[1] / patch))


def make_depth_head(config: HeadsConfig, width: int) -> nn.Module:
    """The depth head that a config asks for."""
    if config.depth_head == "mlp":
        return MLPDepthHead(width, config.depth_hidden, config.depth_features)
    kind = DenseDepthHead if config.depth_head == "dense" else DPTDepthHead
    return kind(width, config.depth_channels, config.depth_features, config.depth_patch)
