"""VGGT-1B and VGGT-1B-Commercial, by the upstream package `vggt`.

Of the 24 pairs of a frame block and a global block four are kept, where upstream's older versions
keep all. Features are the frame block's half; the camera token and the registers are dropped.

Shape suffixes: B clips, T frames, H W pixels, P tokens of a frame, C channels, K=9 pose numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from geovr.geometry.camera import decode_pose
from geovr.teachers.base import TeacherCard
from geovr.teachers.config import VggtConfig
from geovr.teachers.licenses import card_of
from geovr.teachers.network import (
    LoadedOnce,
    Placement,
    Said,
    pool,
    upstream,
    upstream_version,
)
from geovr.teachers.weights import lazy_network

PACKAGE = "vggt"
LAYERS = (4, 11, 17, 23)
DEPTH = 24
WIDTHS = {"1b": 1024, "tiny": 384}
UNUSED = ("point_head.", "track_head.")


class Vggt(LoadedOnce):
    """The network. `net` is upstream's VGGT."""

    multiple = 28

    def __init__(self, load: Callable[[], Any], card: TeacherCard, size: str) -> None:
        super().__init__(load)
        self.card, self.size = card, size
        self.feature_dim = WIDTHS[size]

    def key(self) -> dict[str, Any]:
        """Network, feature layers and the package's version."""
        return {
            "network": f"vggt-{self.size}",
            "checkpoint": self.card.name,
            "layers": list(LAYERS),
            "package": upstream_version(PACKAGE),
        }

    def __call__(self, images_BT3HW: torch.Tensor, placement: Placement) -> Said:
        """See Network. VGGT takes ImageNet's mean and deviation out itself."""
        with placement.trunk():
            everything, first_patch = self.net.aggregator(images_BT3HW)
        with placement.heads():
            tokens = widened(everything, LAYERS)
            pose_BTK = self.net.camera_head(tokens)[-1]
            depth, confidence = self.net.depth_head(
                tokens, images=images_BT3HW, patch_start_idx=first_patch
            )
        size = (images_BT3HW.shape[-2], images_BT3HW.shape[-1])
        kept = [tokens[layer] for layer in LAYERS]
        return as_said(pose_BTK, depth, confidence, kept, first_patch, size, patch=14)


def widened(tokens: list[Any], layers: tuple[int, ...]) -> list[Any]:
    """A layer list in which the chosen layers are float32 and the others are absent."""
    return [t.float() if i in layers else None for i, t in enumerate(tokens)]


def as_said(
    pose_BTK: torch.Tensor,
    depth_BTHW1: torch.Tensor,
    confidence_BTHW: torch.Tensor,
    tokens: list[torch.Tensor],
    first_patch: int,
    size: tuple[int, int],
    patch: int,
) -> Said:
    """What VGGT and VGGT-Omega say, from their heads' results and the tokens of four layers.

    Args:
        pose_BTK: camera from world [t (3), quaternion xyzw (4), fov_h, fov_w].
        depth_BTHW1: along the camera's axis.
        confidence_BTHW: 1 + exp(x).
        tokens: (B, T, P, 2C): the frame block's channels, then the global block's.
        first_patch: how many special tokens come first.
        size: height and width of the frames in pixels.
        patch: pixels of a patch's side.
    """
    B, T = pose_BTK.shape[:2]
    h, w = size[0] // patch, size[1] // patch
    extrinsics, intrinsics = decode_pose(pose_BTK.flatten(0, 1).float(), size)
    features = []
    for layer in tokens:
        frame_half = layer[:, :, first_patch:, : layer.shape[-1] // 2]
        features.append(pool(frame_half.reshape(B, T, h, w, -1)))
    return Said(
        extrinsics_BT44=extrinsics.view(B, T, 4, 4),
        intrinsics_BT33=intrinsics.view(B, T, 3, 3),
        depth_BTHW=depth_BTHW1.squeeze(-1).float(),
        confidence_BTHW=confidence_BTHW.float(),
        features=features,
    )


def keep_only(aggregator: Any, layers: tuple[int, ...]) -> None:
    """Let an aggregator remember the tokens of the chosen layers, and of the others nothing.

    It is done on the way into the list that its forward pass returns, so that pass stays its own.
    """

    def slim(process: Any) -> Any:
        def slimmed(*arguments: Any, **named: Any) -> Any:
            tokens, index, kept = process(*arguments, **named)
            first = index - len(kept)
            slimmer = [t if first + i in layers else t[..., :0] for i, t in enumerate(kept)]
            return tokens, index, slimmer

        return slimmed

    for name in ("_process_frame_attention", "_process_global_attention"):
        setattr(aggregator, name, slim(getattr(aggregator, name)))


def load_vggt(config: VggtConfig, placement: Placement) -> Vggt:
    """The network of a config, on its device.

    Raises:
        UserError: when the package isn't installed, or the weights aren't right.
    """
    _module("models.vggt")  # a package that is missing is told at once
    build = _tiny if config.size == "tiny" else _full
    lazy = lazy_network(build, config.checkpoint, config.weights, unused=UNUSED)

    def load() -> Any:
        net = lazy.load().to(placement.device)
        keep_only(net.aggregator, LAYERS)
        return net

    random = config.weights.random_init is not None
    card = card_of("vggt", config.checkpoint, lazy.digest, random=random)
    return Vggt(load, card, config.size)


def _module(name: str) -> Any:
    remedy = (
        "it isn't on a package index: install it from its repository at a commit that you chose, as"
        " docs/teachers.md says"
    )
    return upstream(f"vggt.{name}", PACKAGE, remedy)


def _full() -> nn.Module:
    net: Any = _module("models.vggt").VGGT()
    # not every version of the package can be told to leave them out
    net.point_head = net.track_head = None
    module: nn.Module = net
    return module


def _tiny() -> nn.Module:
    """The same parts in a size for tests; the class itself is fixed to ViT-L for its patches."""
    vggt = _module("models.vggt").VGGT
    net: Any = vggt.__new__(vggt)
    nn.Module.__init__(net)
    width = WIDTHS["tiny"]
    net.aggregator = _module("models.aggregator").Aggregator(
        img_size=56,
        embed_dim=width,
        depth=DEPTH,
        num_heads=6,
        mlp_ratio=1.0,
        patch_embed="dinov2_vits14_reg",
    )
    net.camera_head = _module("heads.camera_head").CameraHead(
        dim_in=2 * width, num_heads=6, mlp_ratio=1
    )
    net.depth_head = _module("heads.dpt_head").DPTHead(
        dim_in=2 * width,
        output_dim=2,
        activation="exp",
        conf_activation="expp1",
        features=16,
        out_channels=[16, 16, 32, 32],
    )
    net.point_head = net.track_head = None
    module: nn.Module = net
    return module
