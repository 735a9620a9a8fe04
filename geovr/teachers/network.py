"""A teacher's network behind one protocol: where it runs, what it says, where its code comes from.

A network is upstream's own code; nothing of it stands here.

Shape suffixes: B clips, T frames, H W pixels, h w cells of the pooled grid, C channels.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.functional import avg_pool2d

from geovr import distributed
from geovr.errors import UserError
from geovr.teachers.base import TeacherCard


@dataclass(frozen=True)
class Placement:
    """The device, and the trunk's precision."""

    device: torch.device
    precision: str

    @staticmethod
    def choose(precision: str) -> Placement:
        """This rank's GPU if there is one; auto means bf16 there, and float32 without one."""
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", distributed.local_rank()) if cuda else torch.device("cpu")
        if precision == "auto":
            precision = "bf16" if cuda and torch.cuda.is_bf16_supported() else "float32"
        return Placement(device, precision)

    def trunk(self) -> AbstractContextManager[Any]:
        """Autocast for the part that may lose digits."""
        bf16 = self.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16)

    def heads(self) -> AbstractContextManager[Any]:
        """No autocast: cameras and depth need all digits of float32."""
        return torch.autocast(self.device.type, enabled=False)


@dataclass(frozen=True)
class Said:
    """What a network says about B clips, all in float32.

    Attributes:
        extrinsics_BT44: camera from world (OpenCV); any world.
        intrinsics_BT33: in pixels of the frames it saw.
        depth_BTHW: in its own unit.
        confidence_BTHW: 1 + exp(x), as all of these networks have it.
        features: four levels of (B, T, h, w, C), shallow first, pooled.
    """

    extrinsics_BT44: torch.Tensor
    intrinsics_BT33: torch.Tensor
    depth_BTHW: torch.Tensor
    confidence_BTHW: torch.Tensor
    features: list[torch.Tensor]


class LoadedOnce:
    """Upstream's network, loaded when `net` is first asked for."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    @functools.cached_property
    def net(self) -> Any:
        """The network with its weights."""
        with torch.inference_mode(False):  # whoever asks first decides nothing about its tensors
            return self._load()


class Network(Protocol):
    """A relative teacher's network; its weights are loaded when `net` is first asked for."""

    card: TeacherCard
    feature_dim: int
    multiple: int
    """Both sides of a frame are multiples of this: two patches."""

    @property
    def net(self) -> Any:
        """Upstream's own network."""
        ...

    def key(self) -> dict[str, Any]:
        """All that decides what it says but its weights' digest, precision and the frames."""
        ...

    def __call__(self, images_BT3HW: torch.Tensor, placement: Placement) -> Said:
        """Look at frames with values in [0, 1]."""
        ...


class MetricNetwork(Protocol):
    """A metric teacher's network, loaded as a relative one is."""

    card: TeacherCard

    @property
    def net(self) -> Any:
        """As a relative network's."""
        ...

    def key(self) -> dict[str, Any]:
        """As a relative network's."""
        ...

    def __call__(
        self, images_T3HW: torch.Tensor, placement: Placement
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Canonical depth and sky (T, H, W) of frames whose sides are multiples of 14."""
        ...


def pool(grid_BThwC: torch.Tensor) -> torch.Tensor:
    """(B, T, 2h, 2w, C) features averaged over 2 x 2 cells, in float32."""
    flat = grid_BThwC.flatten(0, 1).permute(0, 3, 1, 2).float()
    pooled = avg_pool2d(flat, 2).permute(0, 2, 3, 1)
    return pooled.reshape(*grid_BThwC.shape[:2], *pooled.shape[1:])


def homogeneous(extrinsics_BT34: torch.Tensor) -> torch.Tensor:
    """(..., 3, 4) transforms with the row (0, 0, 0, 1) below them."""
    last = torch.zeros_like(extrinsics_BT34[..., :1, :])
    last[..., 3] = 1
    return torch.cat([extrinsics_BT34, last], dim=-2)


def upstream(module: str, package: str, remedy: str) -> Any:
    """A module of a teacher's own package.

    Raises:
        UserError: with the remedy, when it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{package} can't be imported ({error}); {remedy}") from None


def upstream_version(package: str) -> str:
    """Version of an installed package, with the commit when it was installed from one."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return f"{package} (not installed as a package)"
    source = json.loads(found.read_text("direct_url.json") or "{}")
    commit = source.get("vcs_info", {}).get("commit_id", "")
    return f"{package} {found.version} {commit}".strip()
