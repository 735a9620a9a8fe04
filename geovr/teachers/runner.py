"""What all real teachers share: frames in, upstream's network, targets of one convention out.

A network is upstream's own code behind the protocol below; nothing of it stands here. Poses leave
in the convention of geometry/camera.py, whatever the network's own is.

Shape suffixes: B clips, T frames, H W pixels, h w cells of the pooled grid, C channels.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate

from geovr import distributed
from geovr.data.clips import Clip
from geovr.data.targets import GeometryTargets
from geovr.errors import UserError
from geovr.geometry.alignment import (
    UNDEFINED,
    MetricScale,
    focal_lengths,
    metric_depth,
    metric_scale,
)
from geovr.geometry.camera import encode_pose, relative_to_first
from geovr.teachers.base import TeacherCard
from geovr.teachers.config import FoundationConfig
from geovr.teachers.frames import frame_size, resize_frames
from geovr.teachers.licenses import compose

log = logging.getLogger("geovr")

METRIC_PATCH = 14


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


class Network(Protocol):
    """A relative teacher's network."""

    card: TeacherCard
    feature_dim: int
    multiple: int
    """Both sides of a frame are multiples of this: two patches."""

    def key(self) -> dict[str, Any]:
        """All that decides what it says but its weights' digest, precision and the frames."""
        ...

    def __call__(self, images_BT3HW: torch.Tensor, placement: Placement) -> Said:
        """Look at frames with values in [0, 1]."""
        ...


class MetricNetwork(Protocol):
    """A metric teacher's network."""

    card: TeacherCard

    def key(self) -> dict[str, Any]:
        """As a relative network's."""
        ...

    def __call__(
        self, images_T3HW: torch.Tensor, placement: Placement
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Canonical depth and sky (T, H, W) of frames whose sides are multiples of 14."""
        ...


class FoundationTeacher:
    """A relative network, and maybe a metric one, as a teacher."""

    def __init__(
        self,
        network: Network,
        metric: MetricNetwork | None,
        config: FoundationConfig,
        *,
        longer_side: int,
        placement: Placement,
    ) -> None:
        self.network, self.metric, self.config = network, metric, config
        self.longer_side, self.placement = longer_side, placement
        self.feature_dim = network.feature_dim
        self.card = compose(network.card, *([metric.card] if metric else []))

    def key(self) -> dict[str, Any]:
        """Both networks, the frames' size, precision and estimator; not how many clips a call."""
        return {
            "network": self.network.key(),
            "metric": self.metric.key() if self.metric else None,
            "scale_estimator": self.config.scale_estimator,
            "longer_side": self.longer_side,
            "precision": self.placement.precision,
        }

    def clip_inputs_digest(self, clip: Clip) -> str:
        """Empty: it looks at the frames and nothing else."""
        return ""

    def __call__(self, clips: list[Clip]) -> list[GeometryTargets]:
        """Targets of each clip; clips whose frames have one shape go through together."""
        told: dict[int, GeometryTargets] = {}
        for places in same_shape(clips, self.config.clips_per_call):
            told |= zip(places, self._say([clips[p] for p in places]), strict=True)
        return [told[place] for place in range(len(clips))]

    def _say(self, clips: list[Clip]) -> list[GeometryTargets]:
        try:
            return self._say_at_once(clips)
        except torch.OutOfMemoryError:
            if len(clips) == 1:
                raise
        half = len(clips) // 2
        log.warning("%d clips at once don't fit the GPU's memory; trying %d", len(clips), half)
        torch.cuda.empty_cache()
        return self._say(clips[:half]) + self._say(clips[half:])

    @torch.inference_mode()
    def _say_at_once(self, clips: list[Clip]) -> list[GeometryTargets]:
        height, width = clips[0].frames_THWC.shape[1:3]
        size = frame_size(height, width, self.longer_side, self.network.multiple)
        images = torch.stack([resize_frames(clip.frames_THWC, size) for clip in clips])
        images = images.to(self.placement.device)
        said = self.network(images, self.placement)
        return [self._targets(images[b], said, b) for b in range(len(clips))]

    def _targets(self, images_T3HW: torch.Tensor, said: Said, b: int) -> GeometryTargets:
        size = (images_T3HW.shape[-2], images_T3HW.shape[-1])
        poses = relative_to_first(said.extrinsics_BT44[b].double())
        pose_TK = encode_pose(poses, said.intrinsics_BT33[b].double(), size)
        depth, confidence = said.depth_BTHW[b], said.confidence_BTHW[b]
        scale = self._scale(images_T3HW, depth, confidence, pose_TK[:, 7:].float())
        return GeometryTargets(
            pose_encoding_TK=_numpy(pose_TK),
            depth_THW=_numpy(depth),
            confidence_THW=_numpy(confidence_share(confidence)),
            metric_scale=scale.scale,
            metric_scale_valid=scale.valid,
            features_NTHWC=np.stack([_numpy(level[b]) for level in said.features]),
        )

    def _scale(
        self,
        images_T3HW: torch.Tensor,
        depth_THW: torch.Tensor,
        confidence_THW: torch.Tensor,
        fov_T2: torch.Tensor,
    ) -> MetricScale:
        if self.metric is None:
            return UNDEFINED
        H, W = depth_THW.shape[1:]
        size = (_to_patches(H), _to_patches(W))
        images = _resized(images_T3HW, size)
        depth, confidence = (
            _resized(map_THW[:, None], size)[:, 0] for map_THW in (depth_THW, confidence_THW)
        )
        canonical, sky = self.metric(images, self.placement)
        metres = metric_depth(canonical, focal_lengths(fov_T2, size))
        return metric_scale(depth, confidence, metres, sky, self.config.scale_estimator)


def same_shape(clips: list[Clip], at_once: int) -> Iterator[list[int]]:
    """Places of clips whose frames have one shape, at most `at_once` together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, clip in enumerate(clips):
        groups.setdefault(clip.frames_THWC.shape, []).append(place)
    for places in groups.values():
        yield from (places[i : i + at_once] for i in range(0, len(places), at_once))


def confidence_share(confidence: torch.Tensor) -> torch.Tensor:
    """1 + exp(x) to the sigmoid of x, which keeps the order and lies in [0, 1]."""
    return 1 - 1 / confidence


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


def _to_patches(side: int) -> int:
    return max(1, round(side / METRIC_PATCH)) * METRIC_PATCH


def _resized(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
