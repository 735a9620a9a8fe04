"""Frames to Qwen3-VL patches, one frame a time slot.

Qwen3-VL merges `temporal_patch_size` frames into one slot. Teachers speak of single frames, so
every frame is repeated to fill a slot of its own; the repetition is left to the model, which sums
the patch kernel over time instead of copying pixels. Equal to the stock video processor on
doubled frames (tests/data/test_frames.py).

Shape suffixes: T frames, H W pixels, C colour channels, P patches, E values of one frame's patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class FrameGeometry:
    """What a Qwen3-VL video processor and vision tower do to a frame."""

    patch: int
    merge: int
    temporal: int
    min_pixels: int
    max_pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, video_processor: Any) -> FrameGeometry:
        """Read it off a processor."""
        size = video_processor.size
        return cls(
            patch=video_processor.patch_size,
            merge=video_processor.merge_size,
            temporal=video_processor.temporal_patch_size,
            min_pixels=int(size["shortest_edge"]),
            max_pixels=int(size["longest_edge"]),
            mean=tuple(video_processor.image_mean),
            std=tuple(video_processor.image_std),
        )

    def resized(self, num_frames: int, height: int, width: int) -> tuple[int, int]:
        """Height and width that the model sees; the pixel budget counts each frame once."""
        from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

        size: tuple[int, int] = smart_resize(
            num_frames=num_frames * self.temporal,
            height=height,
            width=width,
            temporal_factor=self.temporal,
            factor=self.patch * self.merge,
            min_pixels=self.min_pixels * self.temporal,
            max_pixels=self.max_pixels * self.temporal,
        )
        return size

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Merged tokens of one resized frame, down and across."""
        factor = self.patch * self.merge
        return height // factor, width // factor


def resize_frames(frames_THWC: np.ndarray, geometry: FrameGeometry) -> torch.Tensor:
    """Frames at the size the model sees, uint8 (T, C, H, W), bicubic and antialiased as stock."""
    from torchvision.transforms.v2 import functional as transforms

    frames_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    height, width = geometry.resized(*frames_THWC.shape[:3])
    if frames_TCHW.shape[-2:] == (height, width):
        return frames_TCHW.contiguous()
    resized: torch.Tensor = transforms.resize(
        frames_TCHW,
        [height, width],
        interpolation=transforms.InterpolationMode.BICUBIC,
        antialias=True,
    )
    return resized


def patchify(frames_TCHW: torch.Tensor, geometry: FrameGeometry) -> torch.Tensor:
    """Normalised patches (P, E) in the order of Qwen3-VL: merge blocks row by row.

    Args:
        frames_TCHW: uint8, already resized.
        geometry: of the model.

    Returns:
        float32 (T * H/patch * W/patch, C * patch * patch).
    """
    mean = torch.tensor(geometry.mean).view(1, -1, 1, 1)
    std = torch.tensor(geometry.std).view(1, -1, 1, 1)
    # the stock processor folds the 1/255 into mean and deviation; so do we, for equal bits
    pixels = (frames_TCHW.float() - mean * 255.0) / (std * 255.0)
    T, C, H, W = pixels.shape
    p, m = geometry.patch, geometry.merge
    blocks = pixels.view(T, C, H // p // m, m, p, W // p // m, m, p)
    return blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(-1, C * p * p)
