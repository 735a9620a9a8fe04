"""A clip's frames as a teacher wants them.

Shape suffixes: T frames, H W pixels, C colours.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def frame_size(height: int, width: int, longer_side: int, multiple: int) -> tuple[int, int]:
    """Height and width at which a teacher sees frames of a given size.

    The longer side becomes `longer_side`, the other the nearest multiple, so the aspect changes a
    little; nothing is cropped or padded. 480 x 640 becomes 392 x 504 with multiples of 28.
    """

    def shorter(side: int, other: int) -> int:
        return max(multiple, round(side * longer_side / other / multiple) * multiple)

    if width >= height:
        return shorter(height, width), longer_side
    return longer_side, shorter(width, height)


def resize_frames(frames_THWC: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """uint8 frames to float32 (T, 3, H, W) in [0, 1], by Pillow's bicubic filter."""
    height, width = size
    resized = np.stack(
        [
            np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
            for frame in frames_THWC
        ]
    )
    return torch.from_numpy(resized).permute(0, 3, 1, 2).float() / 255


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Images (..., 3, H, W) in [0, 1] with ImageNet's mean and deviation taken out."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(3, 1, 1)
    return (images - mean) / std
