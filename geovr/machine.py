"""What this process may use: cores and memory, of which a container's limits are often a part."""

from __future__ import annotations

import os
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
"""Where a process in a container sees its own control group (version 2)."""


def usable_cores() -> int:
    """Whole cores that it may run on, at most its group's quota; never less than 1."""
    cores = len(os.sched_getaffinity(0))
    told = _told("cpu.max").split()
    if len(told) == 2 and told[0] != "max":
        cores = min(cores, int(told[0]) // int(told[1]))
    return max(1, cores)


def usable_memory() -> int:
    """Bytes: the machine's, at most its group's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    told = _told("memory.max").strip()
    return min(total, int(told)) if told.isdecimal() else total


def _told(name: str) -> str:
    try:
        return (_GROUP / name).read_text()
    except OSError:  # no such group, as in the root one
        return ""
