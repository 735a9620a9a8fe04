"""The precision that losses and small heads are computed in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """bfloat16 and float16 become float32; float32 and float64 stay what they are.

    Sums over millions of pixels and differences of close numbers have no digits left in bfloat16.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Autocast off; tensors without values, which plans count with, know no autocast."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
