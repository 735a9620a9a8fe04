"""Depth Anything 3: the relative networks and the metric one, by the upstream package.

Three things of upstream are stepped around, each by its own interface:
* With its default choice of a reference view the exported features come in another frame order
  than everything else, so the first view is the reference; our world is the first frame anyway.
* The metric head fails on a batch of clips with more frames than it takes at once, and its network
  overwrites the sky by a percentile over the whole batch, from pixels drawn without a seed. Its
  frames are independent, so they go through as one clip, and the sky is filled here.
* Gaussians, rays and the encoder of given cameras are not used here and not computed.

Shape suffixes: B clips, T frames, H W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from geovr.geometry.alignment import fill_sky
from geovr.teachers.base import TeacherCard
from geovr.teachers.config import DepthAnything3Config, MetricConfig
from geovr.teachers.frames import normalise
from geovr.teachers.licenses import card_of
from geovr.teachers.network import (
    LoadedOnce,
    Placement,
    Said,
    homogeneous,
    pool,
    upstream,
    upstream_version,
)
from geovr.teachers.weights import lazy_network

PACKAGE = "depth-anything-3"
PREFIX = "model."
WIDTHS = {"vits": 384, "vitb": 768, "vitl": 1024, "vitg": 1536}
RAY_PARTS = (
    *(f"refinenet{level}_aux" for level in range(1, 5)),
    "output_conv1_aux",
    "output_conv2_aux",
)
UNUSED = ("cam_enc.", "gs_head.", "gs_adapter.", *(f"head.scratch.{name}." for name in RAY_PARTS))


class DepthAnything3(LoadedOnce):
    """A relative network. `net` is upstream's DepthAnything3Net."""

    multiple = 28

    def __init__(
        self,
        load: Callable[[], Any],
        card: TeacherCard,
        architecture: str,
        layers: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(load)
        self.card, self.architecture = card, architecture
        trunk = _package()[1](architecture).net
        self.layers = tuple(layers or (layer - 1 for layer in trunk.out_layers))
        self.feature_dim = WIDTHS[trunk.name]

    def key(self) -> dict[str, Any]:
        """Network, feature layers and the package's version."""
        return {
            "network": self.architecture,
            "checkpoint": self.card.name,
            "layers": list(self.layers),
            "package": upstream_version(PACKAGE),
        }

    def __call__(self, images_BT3HW: torch.Tensor, placement: Placement) -> Said:
        """See Network. The network turns autocast off for its heads itself."""
        with placement.trunk():
            output = self.net(
                normalise(images_BT3HW),
                export_feat_layers=list(self.layers),
                ref_view_strategy="first",
            )
        return Said(
            # upstream's decoder speaks of cameras in the world, and inverts that itself
            extrinsics_BT44=homogeneous(output.extrinsics.float()),
            intrinsics_BT33=output.intrinsics.float(),
            depth_BTHW=output.depth.float(),
            confidence_BTHW=output.depth_conf.float(),
            features=[pool(output.aux[f"feat_layer_{layer}"]) for layer in self.layers],
        )


class MetricDepthAnything3(LoadedOnce):
    """The metric network. `net` is upstream's DepthAnything3Net with a sky head."""

    def __init__(self, load: Callable[[], Any], card: TeacherCard, size: str) -> None:
        super().__init__(load)
        self.card, self.size = card, size

    def key(self) -> dict[str, Any]:
        """Network and the package's version."""
        return {
            "network": f"da3metric-{self.size}",
            "checkpoint": self.card.name,
            "package": upstream_version(PACKAGE),
        }

    def __call__(
        self, images_T3HW: torch.Tensor, placement: Placement
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See MetricNetwork; the sky of the depth is already filled."""
        H, W = images_T3HW.shape[-2:]
        with placement.trunk():
            tokens, _ = self.net.backbone(
                normalise(images_T3HW)[None],
                cam_token=None,
                export_feat_layers=[],
                ref_view_strategy="first",
            )
        with placement.heads():
            output = self.net.head(tokens, H, W, patch_start_idx=0)
        depth, sky = output.depth[0].float(), output.sky[0].float()
        return fill_sky(depth, sky), sky


def load_depth_anything3(config: DepthAnything3Config, placement: Placement) -> DepthAnything3:
    """The network of a config, on its device.

    Raises:
        UserError: when the package isn't installed, or the weights aren't right.
    """
    lazy = lazy_network(
        lambda: _relative(config.architecture),
        config.checkpoint,
        config.weights,
        prefix=PREFIX,
        unused=UNUSED,
    )
    random = config.weights.random_init is not None
    card = card_of("depth_anything3", config.checkpoint, lazy.digest, random=random)
    return DepthAnything3(
        lambda: lazy.load().to(placement.device), card, config.architecture, config.feature_layers
    )


def load_metric(config: MetricConfig, placement: Placement) -> MetricDepthAnything3:
    """The metric network of a config, on its device.

    Raises:
        UserError: when the package isn't installed, or the weights aren't right.
    """
    _package()  # a package that is missing is told at once
    lazy = lazy_network(
        lambda: _metric(config.size), config.checkpoint, config.weights, prefix=PREFIX
    )
    random = config.weights.random_init is not None
    card = card_of("metric", config.checkpoint, lazy.digest, random=random)
    return MetricDepthAnything3(lambda: lazy.load().to(placement.device), card, config.size)


def _package() -> tuple[Any, Any]:
    """Upstream's network class, and the settings of all its networks by name."""
    remedy = "install it by `make teachers` (requirements-teachers.lock)"
    da3 = upstream("depth_anything_3.model.da3", PACKAGE, remedy)
    settings = upstream("depth_anything_3.cfg", PACKAGE, remedy)
    registry = upstream("depth_anything_3.registry", PACKAGE, remedy)
    # it prints to stdout at every call otherwise
    upstream("depth_anything_3.utils.logger", PACKAGE, remedy).logger.level = 0
    from omegaconf import OmegaConf

    # importing it lets every OmegaConf file of this process, also DVC's, evaluate Python
    OmegaConf.clear_resolver("eval")
    return da3.DepthAnything3Net, lambda name: settings.load_config(registry.MODEL_REGISTRY[name])


def _relative(architecture: str) -> nn.Module:
    build, settings = _package()
    parts = settings(architecture)
    net: Any = build(net=parts.net, head=parts.head, cam_dec=parts.cam_dec, cam_enc=nn.Identity())
    _skip_rays(net.head.scratch)
    module: nn.Module = net
    return module


def _metric(size: str) -> nn.Module:
    build, settings = _package()
    parts = settings("da3metric-large")
    if size == "tiny":
        parts.net.merge_with({"name": "vits", "out_layers": [2, 5, 8, 11]})
        parts.head.merge_with({"dim_in": 384, "features": 32, "out_channels": [16, 32, 64, 64]})
    net: nn.Module = build(net=parts.net, head=parts.head)
    return net


class _Nothing(nn.Module):
    """Four channels of one pixel, the least that the rest of the ray branch accepts."""

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return x.new_zeros(len(x), 4, 1, 1)


def _skip_rays(scratch: Any) -> None:
    """Take the ray branch out of the depth head: its result is thrown away when poses are read.

    Nor could it be loaded strictly: its levels share a norm, which the published file holds once.
    """
    for name in RAY_PARTS:
        part = getattr(scratch, name)
        levels = isinstance(part, nn.ModuleList)
        setattr(scratch, name, nn.ModuleList(nn.Identity() for _ in part) if levels else _Nothing())
