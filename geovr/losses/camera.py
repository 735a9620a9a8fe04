"""The camera loss: L1 on the nine numbers of each frame's pose.

Shape suffixes: B samples, T frames, K=9 pose numbers (see geometry/camera.py).
"""

from __future__ import annotations

import torch

from geovr.losses.precision import at_least_float32

TRANSLATION_CLAMP = 100.0


def camera_loss(
    predicted_BTK: torch.Tensor,
    target_BTK: torch.Tensor,
    *,
    rotation_weight: float = 1.0,
    fov_weight: float = 0.5,
    same_rotation: bool = False,
) -> torch.Tensor:
    """Per-sample pose error: mean |t| (clamped) + mean |q| + 0.5 mean |fov|.

    Args:
        predicted_BTK: translation (3), quaternion xyzw (4), field of view (2, radians).
        target_BTK: likewise.
        rotation_weight: of the quaternion term.
        fov_weight: of the field-of-view term.
        same_rotation: take q and -q, which are one rotation, as equal.

    Returns:
        (B,) losses.
    """
    predicted_BTK, target_BTK = at_least_float32(predicted_BTK), at_least_float32(target_BTK)
    error_BTK = (predicted_BTK - target_BTK).abs()
    translation = error_BTK[..., :3].clamp(max=TRANSLATION_CLAMP).mean(-1)
    rotation = error_BTK[..., 3:7].mean(-1)
    if same_rotation:
        other = (predicted_BTK[..., 3:7] + target_BTK[..., 3:7]).abs().mean(-1)
        rotation = torch.minimum(rotation, other)
    fov = error_BTK[..., 7:].mean(-1)
    return (translation + rotation_weight * rotation + fov_weight * fov).mean(-1)
