"""Batches on their way from a process to another: all tensors in one block of shared memory.

torch hands each tensor over by a file descriptor of its own, at about 0.2 ms for a descriptor; a
batch of the demo has 49 tensors. In one block they cost one descriptor and one copy.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing  # teaches multiprocessing to share the memory of a tensor

from geovr.errors import UserError

_ALIGNMENT = 64
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies in the block."""

    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, block: torch.Tensor) -> torch.Tensor:
        count = self.dtype.itemsize
        for size in self.shape:
            count *= size
        # the strides are kept: a sum over other strides could round otherwise
        flat = block[self.start : self.start + count].view(self.dtype)
        return flat.as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class _Record:
    """A dataclass taken apart, so that it is checked again when it is put together."""

    kind: type[Any]
    values: dict[str, Any]


@dataclass(frozen=True)
class Parcel:
    """A value with its tensors apart."""

    tree: Any
    block: torch.Tensor


def pack(value: Any) -> Parcel:
    """Take apart lists, tuples and dataclasses of tensors; other objects travel as they are.

    Raises:
        UserError: when shared memory has no room for the tensors.
    """
    tensors: list[tuple[_Place, torch.Tensor]] = []
    tree = _apart(value, tensors)
    end = tensors[-1][0].start + tensors[-1][1].nbytes if tensors else 0
    block = shared_bytes(end)
    for place, tensor in tensors:
        place.of(block).copy_(tensor)
    return Parcel(tree, block)


def unpack(parcel: Parcel) -> Any:
    """The value, whose tensors share the parcel's block."""
    return _together(parcel.tree, parcel.block)


def shared_bytes(count: int) -> torch.Tensor:
    """A block of shared memory, uint8 (count,).

    Raises:
        UserError: when there is no room; a write to it would end the process without a word.
    """
    free = shutil.disk_usage(_SHARED_MEMORY).free if _SHARED_MEMORY.is_dir() else count
    if count > free:
        raise UserError(
            f"{_SHARED_MEMORY}: {count >> 20} MiB to share with other processes don't fit into the"
            f" {free >> 20} MiB that are free; raise the job's shared memory (launch.kubernetes."
            "shared_memory_gb, docker: --shm-size), lower train.data_workers, or set it to 0"
        )
    block: torch.Tensor = torch.empty(count, dtype=torch.uint8)
    return block.share_memory_()  # type: ignore[no-untyped-call, no-any-return]


def _apart(value: Any, tensors: list[tuple[_Place, torch.Tensor]]) -> Any:
    if isinstance(value, torch.Tensor):
        start = tensors[-1][0].start + tensors[-1][1].nbytes if tensors else 0
        start = -(-start // _ALIGNMENT) * _ALIGNMENT
        stride = torch.empty_like(value, device="meta").stride()
        place = _Place(start, value.dtype, tuple(value.shape), stride)
        tensors.append((place, value))
        return place
    if isinstance(value, (list, tuple)):
        return type(value)([_apart(item, tensors) for item in value])
    if is_dataclass(value) and not isinstance(value, type):
        values = {f.name: _apart(getattr(value, f.name), tensors) for f in fields(value)}
        return _Record(type(value), values)
    return value


def _together(tree: Any, block: torch.Tensor) -> Any:
    if isinstance(tree, _Place):
        return tree.of(block)
    if isinstance(tree, _Record):
        return tree.kind(**{name: _together(v, block) for name, v in tree.values.items()})
    if isinstance(tree, (list, tuple)):
        return type(tree)([_together(item, block) for item in tree])
    return tree
