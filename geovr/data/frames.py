"""Frames to Qwen3-VL patches.

Qwen3-VL merges `temporal_patch_size` frames into one time slot. Teachers speak of single frames, so
by default every frame fills a slot of its own; the repetition is left to the model, which sums
the patch kernel over time instead of copying pixels (model/patches.py). Equal to the stock video
processor on doubled frames. With `pairs` a slot holds different frames, as at stock inference.

Shape suffixes: T frames, S time slots, H W pixels, C colour channels, P patches, E values of a
patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from geovr.data.input import InputConfig
from geovr.data.prefix import MediumKind


@dataclass(frozen=True)
class FrameGeometry:
    """What a Qwen3-VL processor and vision tower do to frames.

    Pixel budgets of a video count each frame once, also when it fills a slot of its own.
    """

    patch: int
    merge: int
    temporal: int
    paired: bool
    min_pixels: int
    max_pixels: int
    image_min_pixels: int
    image_max_pixels: int
    mean: dict[MediumKind, tuple[float, ...]]
    std: dict[MediumKind, tuple[float, ...]]

    @classmethod
    def of(cls, processor: Any, config: InputConfig | None = None) -> FrameGeometry:
        """Read it off a processor; the config's budgets win over the processor's."""
        config = config or InputConfig()
        video, image = processor.video_processor, processor.image_processor
        return cls(
            patch=video.patch_size,
            merge=video.merge_size,
            temporal=video.temporal_patch_size,
            paired=config.frame_pairing == "pairs",
            min_pixels=config.min_pixels or int(video.size["shortest_edge"]),
            max_pixels=config.max_pixels or int(video.size["longest_edge"]),
            image_min_pixels=int(image.size["shortest_edge"]),
            image_max_pixels=int(image.size["longest_edge"]),
            mean={"video": tuple(video.image_mean), "images": tuple(image.image_mean)},
            std={"video": tuple(video.image_std), "images": tuple(image.image_std)},
        )

    def resized(self, kind: MediumKind, frames: int, height: int, width: int) -> tuple[int, int]:
        """Height and width that the model sees, of all frames of a video or of each image."""
        factor = self.patch * self.merge
        size: tuple[int, int]
        if kind == "images":
            from transformers.models.qwen2_vl.image_processing_qwen2_vl import (
                smart_resize as resize_image,
            )

            size = resize_image(height, width, factor, self.image_min_pixels, self.image_max_pixels)
            return size
        from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

        times = 1 if self.paired else self.temporal
        size = smart_resize(
            num_frames=max(frames * times, self.temporal),
            height=height,
            width=width,
            temporal_factor=self.temporal,
            factor=factor,
            min_pixels=self.min_pixels * times,
            max_pixels=self.max_pixels * times,
        )
        return size

    def slot_frames(self, kind: MediumKind, frames: int) -> np.ndarray:
        """For each time slot the frames in it, (S, temporal); odd numbers repeat the last."""
        if self.paired and kind == "video":
            slots = -(-frames // self.temporal)
            places = np.arange(slots * self.temporal).reshape(slots, self.temporal)
            return np.minimum(places, frames - 1)
        return np.repeat(np.arange(frames)[:, None], self.temporal, axis=1)

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Merged tokens of one resized frame, down and across."""
        factor = self.patch * self.merge
        return height // factor, width // factor


def resize_frames(
    frames_THWC: np.ndarray, geometry: FrameGeometry, kind: MediumKind = "video"
) -> torch.Tensor:
    """Frames at the size the model sees, uint8 (T, C, H, W), bicubic and antialiased as stock."""
    from torchvision.transforms.v2 import functional as transforms

    frames_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    height, width = geometry.resized(kind, *frames_THWC.shape[:3])
    if frames_TCHW.shape[-2:] == (height, width):
        return frames_TCHW.contiguous()
    resized: torch.Tensor = transforms.resize(
        frames_TCHW,
        [height, width],
        interpolation=transforms.InterpolationMode.BICUBIC,
        antialias=True,
    )
    return resized


def patchify(
    frames_TCHW: torch.Tensor, geometry: FrameGeometry, kind: MediumKind = "video"
) -> torch.Tensor:
    """Normalised patches (P, E) in the order of Qwen3-VL: merge blocks row by row.

    Args:
        frames_TCHW: uint8, already resized.
        geometry: of the model.
        kind: of the medium.

    Returns:
        float32 (S * H/patch * W/patch, C * patch * patch); with `pairs` each patch holds all
        frames of its slot, (.., C * temporal * patch * patch).
    """
    mean = torch.tensor(geometry.mean[kind]).view(1, -1, 1, 1)
    std = torch.tensor(geometry.std[kind]).view(1, -1, 1, 1)
    # the stock processor folds the 1/255 into mean and deviation; so do we, for equal bits
    pixels = (frames_TCHW.float() - mean * 255.0) / (std * 255.0)
    T, C, H, W = pixels.shape
    p, m = geometry.patch, geometry.merge
    blocks = pixels.view(T, C, H // p // m, m, p, W // p // m, m, p)
    patches = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(T, -1, C, 1, p * p)
    if geometry.paired:
        slots = torch.from_numpy(geometry.slot_frames(kind, T))
        patches = torch.cat([patches[slots[:, k]] for k in range(geometry.temporal)], dim=3)
    return patches.reshape(-1, patches[0, 0].numel())
