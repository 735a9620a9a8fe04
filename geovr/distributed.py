"""The process group: who am I among how many, and how ranks exchange small objects.

Every function works without torch.distributed too: a single process is rank 0 of 1.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any


def rank() -> int:
    """This process's rank as torchrun gave it; 0 for a single process."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes as torchrun gave it; 1 for a single process."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """This process's rank on its node."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_world_size() -> int:
    """Number of processes on this node."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def process_group(timeout_s: float = 600.0) -> Iterator[None]:
    """Join the process group for the time of the block; nothing to do for one process."""
    if world_size() == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        yield
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(local_rank())
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    try:
        yield
    finally:
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all ranks."""
    if world_size() > 1:
        import torch.distributed as dist

        dist.barrier()


def gather_objects(value: Any, group: Any = None) -> list[Any]:
    """Every rank's value, in rank order, on every rank. For small Python objects.

    torch exchanges these as pickles, between the ranks of one job only.
    """
    if world_size() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value, group=group)
    return values


def broadcast_object(value: Any) -> Any:
    """Rank 0's value on every rank."""
    if world_size() == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def balanced_shares(costs: Sequence[float], ranks: int) -> list[list[int]]:
    """Which items each rank does, so that all end at about the same time.

    Longest processing time first: the costliest item left goes to the rank with the least to do,
    so no rank has more than 4/3 of what the best division gives the busiest one (Graham 1969).
    Equal costs give equal shares on every rank.

    Args:
        costs: of each item, in any unit.
        ranks: how many share the items.

    Returns:
        for each rank the places of its items in `costs`, ascending.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    loads = [(0.0, rank) for rank in range(ranks)]
    for place in sorted(range(len(costs)), key=lambda place: (-costs[place], place)):
        load, least = heapq.heappop(loads)
        shares[least].append(place)
        heapq.heappush(loads, (load + costs[place], least))
    return [sorted(share) for share in shares]


def share_directory(directory: Path) -> None:
    """Rank 0's small directory on every node, whether or not nodes share a file system.

    Args:
        directory: rank 0 has written it; holds manifests and tables, not weights.
    """
    from geovr.storage import write_atomic

    files: dict[str, bytes] = {}
    if rank() == 0:
        files = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
    files = broadcast_object(files)
    if int(os.environ.get("GROUP_RANK", "0")) != 0 and local_rank() == 0:
        # the manifest, which says that all is there, is written last
        for name in sorted(files, key=lambda name: name == "manifest.json"):
            if not _holds(directory / name, files[name]):
                write_atomic(directory / name, files[name])
    barrier()


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data
