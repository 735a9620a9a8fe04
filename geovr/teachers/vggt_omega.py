"""VGGT-Omega, by the upstream package `vggt_omega`: VGGT with 16-pixel patches and 17 specials.

Its aggregator keeps the four layers that are used by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from geovr.teachers.base import TeacherCard
from geovr.teachers.config import VggtOmegaConfig
from geovr.teachers.licenses import card_of
from geovr.teachers.network import LoadedOnce, Placement, Said, upstream, upstream_version
from geovr.teachers.vggt import LAYERS, as_said, widened
from geovr.teachers.weights import lazy_network

PACKAGE = "vggt-omega"
UNUSED = ("text_alignment_head.",)
WIDTHS = {"1b": 1024, "tiny": 128}


class VggtOmega(LoadedOnce):
    """The network. `net` is upstream's VGGTOmega."""

    multiple = 32

    def __init__(self, load: Callable[[], Any], card: TeacherCard, size: str) -> None:
        super().__init__(load)
        self.card, self.size = card, size
        self.feature_dim = WIDTHS[size]

    def key(self) -> dict[str, Any]:
        """Network, feature layers and the package's version."""
        return {
            "network": f"vggt-omega-{self.size}",
            "checkpoint": self.card.name,
            "layers": list(LAYERS),
            "package": upstream_version(PACKAGE),
        }

    def __call__(self, images_BT3HW: torch.Tensor, placement: Placement) -> Said:
        """See Network. It takes ImageNet's mean and deviation out itself."""
        with placement.trunk():
            everything, first_patch = self.net.aggregator(images_BT3HW)
        with placement.heads():
            tokens = widened(everything, LAYERS)
            pose_BTK = self.net.camera_head(tokens, patch_token_start=first_patch)
            depth, confidence = self.net.dense_head(
                tokens, images=images_BT3HW, patch_token_start=first_patch
            )
        size = (images_BT3HW.shape[-2], images_BT3HW.shape[-1])
        kept = [tokens[layer] for layer in LAYERS]
        return as_said(pose_BTK, depth, confidence, kept, first_patch, size, patch=16)


def load_vggt_omega(config: VggtOmegaConfig, placement: Placement) -> VggtOmega:
    """The network of a config, on its device.

    Raises:
        UserError: when the package isn't installed, or the weights aren't right.
    """
    _module()  # a package that is missing is told at once
    lazy = lazy_network(
        lambda: _build(config.size), config.checkpoint, config.weights, unused=UNUSED
    )
    random = config.weights.random_init is not None
    card = card_of("vggt_omega", config.checkpoint, lazy.digest, random=random)
    return VggtOmega(lambda: lazy.load().to(placement.device), card, config.size)


def _module() -> Any:
    remedy = (
        "it isn't on a package index: install it from its repository at a commit that you chose, as"
        " docs/teachers.md says"
    )
    return upstream("vggt_omega.models.vggt_omega", PACKAGE, remedy)


def _build(size: str) -> nn.Module:
    settings = {"embed_dim": WIDTHS["tiny"]} if size == "tiny" else {}
    net: nn.Module = _module().VGGTOmega(**settings)
    net.apply(_initialise)
    return net


def _initialise(module: Any) -> None:
    """Fill what upstream leaves to the checkpoint as it was in memory, or NaN.

    These are scales of residual branches, and masks by which keys, unlike queries and values, have
    no bias.
    """
    if hasattr(module, "gamma") and hasattr(module, "init_values"):
        nn.init.constant_(module.gamma, module.init_values)
    mask = getattr(module, "bias_mask", None)
    if mask is not None:
        mask.fill_(1)
        mask.chunk(3)[1].fill_(0)
