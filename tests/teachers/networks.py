"""Clips, and weights that make every part of a network matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from geovr.data.clips import Clip


def clip(frames: int = 4, height: int = 48, width: int = 64, seed: int = 0) -> Clip:
    """Smooth coloured noise that moves."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (frames, 4, 6, 3)).astype(np.uint8)
    tiles = np.kron(coarse, np.ones((1, height // 4, width // 6 + 1, 1), dtype=np.uint8))
    indices = np.arange(frames)
    shown = np.ascontiguousarray(tiles[:, :, :width])
    name = f"clip-{seed}"
    return Clip(name, name, f"video{seed}", shown, indices / 2.0, indices, True)


def stir(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter a share in the result; as built, many are zero or nearly so.

    Layer scales, tokens and biases start so small that an adapter could read the wrong layer, and
    its numbers would hardly differ.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                spread = 1 / np.sqrt(max(1, parameter[0].numel()))
                parameter.copy_(noise * float(spread))
            else:
                parameter.copy_(0.5 + 0.2 * noise)
    return network


@contextmanager
def without_numbers() -> Iterator[None]:
    """Networks built in here have all their parameters on the meta device: shapes, no memory."""
    register = nn.Module.register_parameter

    def to_meta(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            parameter = nn.Parameter(parameter.data.to("meta"), requires_grad=False)
        register(self, name, parameter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "register_parameter", to_meta)
        yield
