"""What all real teachers share: frames in, upstream's network, targets of one convention out.

Poses leave in the convention of geometry/camera.py, whatever the network's own is.

Shape suffixes: B clips, T frames, H W pixels, K=9 pose numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from geovr.data.clips import Clip
from geovr.data.targets import GeometryTargets
from geovr.geometry.alignment import (
    UNDEFINED,
    MetricScale,
    focal_lengths,
    metric_depth,
    metric_scale,
)
from geovr.geometry.camera import encode_pose, relative_to_first
from geovr.teachers.base import ClipName
from geovr.teachers.config import FoundationConfig
from geovr.teachers.frames import frame_size, resize_frames
from geovr.teachers.licenses import compose
from geovr.teachers.network import MetricNetwork, Network, Placement, Said

log = logging.getLogger("geovr")

METRIC_PATCH = 14


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
        self.feature_dim, self.clips_per_call = network.feature_dim, config.clips_per_call
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

    def clip_inputs_digest(self, clip: ClipName) -> str:
        """Empty: it looks at the frames and nothing else."""
        return ""

    def load(self) -> None:
        """Load the weights of both networks."""
        for one in (self.network, self.metric):
            _ = one.net if one else None

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


def _to_patches(side: int) -> int:
    return max(1, round(side / METRIC_PATCH)) * METRIC_PATCH


def _resized(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
