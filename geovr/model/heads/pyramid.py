"""The trunk of the convolutional depth heads: four token levels at four resolutions, fused.

Shape suffixes: N frames, D channels, H W rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

_POSITION_WEIGHT = 0.1


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = self.conv2(self.conv1(x.relu()).relu())
        return inner + x


class _Fusion(nn.Module):
    """Add the skip level, refine, and resize to the next finer level."""

    def __init__(self, channels: int, *, has_skip: bool) -> None:
        super().__init__()
        self.skip = _Residual(channels) if has_skip else None
        self.refine = _Residual(channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(
        self, x: torch.Tensor, skip: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        if self.skip is not None and skip is not None:
            x = x + self.skip(skip)
        x = F.interpolate(self.refine(x), size, mode="bilinear", align_corners=True)
        fused: torch.Tensor = self.out(x)
        return fused


def uv_position(x_NDHW: torch.Tensor, aspect: float) -> torch.Tensor:
    """Sines and cosines of image coordinates, (1, D, H, W), for an image of width/height `aspect`.

    Coordinates span the image, normalised by its diagonal; half the channels per axis, base 100.
    """
    D, H, W = x_NDHW.shape[1:]
    diagonal = math.hypot(aspect, 1.0)
    span_x, span_y = aspect / diagonal, 1.0 / diagonal
    device = x_NDHW.device
    u = torch.linspace(-span_x * (W - 1) / W, span_x * (W - 1) / W, W, device=device)
    v = torch.linspace(-span_y * (H - 1) / H, span_y * (H - 1) / H, H, device=device)
    quarter = D // 4
    omega = 100.0 ** -(torch.arange(quarter, device=device) / max(quarter, 1))

    def axis(values: torch.Tensor) -> torch.Tensor:
        angle = values[:, None] * omega
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    x_part = axis(u)[None].expand(H, W, -1)
    y_part = axis(v)[:, None].expand(H, W, -1)
    position = torch.cat([x_part, y_part], dim=-1).permute(2, 0, 1)[None]
    return F.pad(position, (0, 0, 0, 0, 0, D - position.shape[1])).to(x_NDHW.dtype)


class Pyramid(nn.Module):
    """DPT's reassembly and fusion (Ranftl et al. 2021), with positions added before and after.

    Args:
        width: D of the model.
        channels: of the four levels after projection.
        features: of the fusion.
    """

    def __init__(self, width: int, channels: Sequence[int], features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.project = nn.ModuleList(nn.Conv2d(width, c, 1) for c in channels)
        c0, c1, _, c3 = channels
        self.resize = nn.ModuleList(
            [
                nn.ConvTranspose2d(c0, c0, 4, stride=4),
                nn.ConvTranspose2d(c1, c1, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(c3, c3, 3, stride=2, padding=1),
            ]
        )
        self.adapt = nn.ModuleList(
            nn.Conv2d(c, features, 3, padding=1, bias=False) for c in channels
        )
        self.fuse = nn.ModuleList(
            _Fusion(features, has_skip=level < 3) for level in range(len(channels))
        )

    def forward(
        self, levels: Sequence[torch.Tensor], size: tuple[int, int], aspect: float
    ) -> torch.Tensor:
        """Four (N, D, h, w) levels, shallow first, to a (N, features, *size) map.

        Args:
            levels: hidden states on the token grid.
            size: rows and columns of the map.
            aspect: width over height of the image.
        """
        maps = []
        for level, project, resize, adapt in zip(
            levels, self.project, self.resize, self.adapt, strict=True
        ):
            x = self.norm(level.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            x = project(x)
            x = x + _POSITION_WEIGHT * uv_position(x, aspect)
            maps.append(adapt(resize(x)))
        sizes = [size, *(tuple(m.shape[-2:]) for m in maps[:3])]
        x = self.fuse[3](maps[3], None, sizes[3])
        for finer in (2, 1, 0):
            x = self.fuse[finer](x, maps[finer], sizes[finer])
        positioned: torch.Tensor = x + _POSITION_WEIGHT * uv_position(x, aspect)
        return positioned
