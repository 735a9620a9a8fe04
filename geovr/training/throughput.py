"""Arithmetic of a step, the share of the device's peak it reaches, and what the process holds.

Shape suffixes: D model width, L tokens.
"""

from __future__ import annotations

import functools
import resource
import sys
from collections.abc import Sequence

import torch
from torch import nn

from geovr.data.batch import Batch
from geovr.model.flops import SampleShape, head_flops, vision_flops
from geovr.model.geovr import GeoVR

PEAK_TFLOPS = {
    "B200": 2250.0, "H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0,
    "L40S": 362.0, "L4": 121.0,
}  # fmt: skip
"""Of dense products in bfloat16, by the makers' data sheets; the first name found counts."""


def peak_flops(device: torch.device, precision: str) -> float | None:
    """A device's peak per second, None where it isn't known."""
    if device.type != "cuda" or precision != "bfloat16":
        return None
    name = torch.cuda.get_device_name(device)
    found = next((peak for known, peak in PEAK_TFLOPS.items() if known in name), None)
    return None if found is None else found * 1e12


class FlopModel:
    """Arithmetic of batches: what the mathematics needs, not what recomputation adds.

    A multiplication and an addition are two. The forward pass counts once, and once more each
    for gradients of inputs and of weights where there are any. Attention counts the pairs of
    tokens that see each other, so that skipping the others makes nothing look faster.
    """

    def __init__(self, model: GeoVR) -> None:
        backbone = model.backbone
        language = backbone.model.language_model
        self.config = backbone.config
        self.heads, self.geometry = model.heads_config, model.objectives.any
        self.feature_dim = model.feature_dim
        linear = [m for m in language.layers.modules() if isinstance(m, nn.Linear)]
        self.weights = sum(m.weight.numel() for m in linear)
        learnt = sum(m.weight.numel() for m in linear if m.weight.requires_grad)
        self.language_passes = 2 + learnt / self.weights
        self.vision_passes = 3 if backbone.model.visual.blocks[0].norm1.weight.requires_grad else 1

    def __call__(self, batches: Sequence[Batch]) -> float:
        """Of all batches together."""
        return sum(self._language(batch) + self._clips(batch) for batch in batches)

    def _language(self, batch: Batch) -> float:
        text = self.config.text_config
        D, V = text.hidden_size, text.vocab_size
        width = text.num_attention_heads * text.head_dim
        attended = 4.0 * width * seen_pairs(batch) * text.num_hidden_layers
        linear = 2.0 * self.weights * sum(batch.lengths_R)
        logits = 2.0 * D * V * len(batch.label_M)
        return float(self.language_passes * (linear + logits) + 3 * attended)

    def _clips(self, batch: Batch) -> float:
        total = 0.0
        for grid, target in zip(batch.grid_I3.tolist(), batch.targets, strict=True):
            sizes: tuple[int, ...] = (0, 0, 0, 0)
            if target is not None and self.geometry:
                sizes = (*target.depth_THW.shape[-2:], *target.features_NTHWC.shape[-3:-1])
            total += self._clip(*grid, *sizes)
        return total

    @functools.lru_cache(maxsize=64)  # noqa: B019 - lives as long as the training
    def _clip(self, slots: int, down: int, across: int, *sizes: int) -> float:
        """Vision tower and heads; sizes are the teacher's depth and features, 0 without them."""
        merge = self.config.vision_config.spatial_merge_size
        H, W, rows, columns = sizes
        shape = SampleShape(
            slots=slots, grid=(down // merge, across // merge), prefix=0, branch=0, labels=0,
            depth_size=(H, W), feature_grid=(rows, columns), feature_dim=self.feature_dim,
        )  # fmt: skip
        seen = self.vision_passes * vision_flops(self.config.vision_config, shape)
        width = self.config.text_config.hidden_size
        return seen + (head_flops(self.heads, width, shape) if H else 0.0)


def seen_pairs(batch: Batch) -> float:
    """Pairs of tokens of which the later one sees the earlier one, or itself."""
    segments, order = batch.segment_BL.reshape(-1).cpu(), batch.order_BL.reshape(-1).cpu()
    pairs = 0
    for start, length, prefix in zip(
        batch.starts_R, batch.lengths_R, batch.prefixes_R, strict=True
    ):
        tail = slice(start + prefix, start + length)
        # the prefix is in order; a token behind it sees what comes before its own place
        seen = torch.searchsorted(order[start : start + prefix], order[tail], right=True)
        sizes = torch.unique(segments[tail], return_counts=True)[1]
        pairs += prefix * (prefix + 1) // 2 + int(seen.sum())
        pairs += int((sizes * (sizes + 1) // 2).sum())
    return float(pairs)


class SystemMeter:
    """What this process and its machine use, for the log of rank 0."""

    def __init__(self, device: torch.device) -> None:
        import psutil

        self.device, self._process = device, psutil.Process()
        psutil.cpu_percent()  # the first call has nothing to compare with

    def read(self) -> dict[str, float]:
        """Since the last call, or now; GB are 10^9 bytes."""
        import psutil

        values = {
            "system/cpu_percent": float(psutil.cpu_percent()),
            "system/memory_gb": self._process.memory_info().rss / 1e9,
            "system/peak_memory_gb": peak_memory_gb(self.device),
        }
        if self.device.type == "cuda":
            values["system/gpu_memory_gb"] = torch.cuda.memory_allocated(self.device) / 1e9
        return values


def peak_memory_gb(device: torch.device) -> float:
    """Most that was held since the process began, in GB: on a GPU of its memory, else of RAM."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
