"""Python, packages, cores, memory, disk, GPU and processes that talk to each other."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from geovr.doctor.finding import Needs, Trouble

PYTHONS = ((3, 11), (3, 12))


def python(needs: Needs) -> str:
    """A version that the lock is compiled for."""
    found = sys.version.split()[0]
    if sys.version_info[:2] not in PYTHONS:
        raise Trouble(f"{found}", "use Python 3.11 or 3.12: make setup makes .venv with it")
    return found


def packages(needs: Needs) -> str:
    """Every distribution that geovr requires, in a version it allows."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    wrong, count = [], 0
    for text in requires("geovr") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name} is {found}, wanted {wanted.specifier}")
    if wrong:
        raise Trouble("; ".join(wrong), "make setup installs what requirements.lock holds")
    return f"{count} of {count} as geovr requires them"


def cores_and_memory(needs: Needs) -> str:
    """What this process may use."""
    import psutil

    memory = psutil.virtual_memory()
    told = (
        f"{len(os.sched_getaffinity(0))} cores, {memory.total / 1e9:.1f} GB of memory,"
        f" {memory.available / 1e9:.1f} GB free"
    )
    if memory.available < 2e9:
        raise Trouble(told, "end other programs: a training of the tiny model takes 2 GB")
    return told


def disk(needs: Needs) -> str:
    """Room where the store, the home directory and temporary files are."""
    free = {place: shutil.disk_usage(place).free / 1e9 for place in needs.places}
    told = ", ".join(f"{gb:.1f} GB free at {place}" for place, gb in free.items())
    if min(free.values()) < needs.least_free_gb:
        raise Trouble(told, "free some space, or set store:, GEOVR_HOME or TMPDIR to another disk")
    return told


def writing(needs: Needs) -> str:
    """A file is written, synced to the disk and renamed, as every object of a store is."""
    for place in needs.places:
        try:
            with tempfile.TemporaryDirectory(prefix=".geovr-doctor-", dir=place) as scratch:
                before, after = Path(scratch, "a"), Path(scratch, "b")
                with before.open("wb") as file:
                    file.write(b"geovr")
                    file.flush()
                    os.fsync(file.fileno())
                before.replace(after)
                if after.read_bytes() != b"geovr":
                    raise Trouble(f"{place}: other bytes than were written", "check that disk")
        except OSError as error:
            raise Trouble(
                f"{place}: {error.strerror}",
                "make it writable, or set store:, GEOVR_HOME or TMPDIR",
            ) from error
    return "files are written, synced and renamed"


def gpu(needs: Needs) -> str:
    """A CUDA device that computes."""
    import torch

    if not torch.cuda.is_available():
        raise Trouble(
            "none; everything runs on the CPU",
            "for models of real size: an NVIDIA GPU and its driver (nvidia-smi shows it)",
            "missing",
        )
    told = []
    for number in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(number)
        one = torch.ones(8, 8, device=f"cuda:{number}", dtype=torch.bfloat16)
        if float((one @ one).sum()) != 512.0:
            raise Trouble(f"{known.name} computes wrongly", "update its driver, or leave it out")
        told.append(
            f"{known.name}, {known.total_memory / 1e9:.0f} GB, compute {known.major}.{known.minor},"
            f" bfloat16 {'in hardware' if known.major >= 8 else 'emulated'}"
        )
    return f"{'; '.join(told)}; CUDA {torch.version.cuda}"


def processes(needs: Needs) -> str:
    """A process group of one, with the backend that this machine would use."""
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return f"{distributed.get_backend()}, in use"
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    with tempfile.TemporaryDirectory() as scratch:
        meeting = Path(scratch, "meeting").as_uri()
        distributed.init_process_group(backend, init_method=meeting, rank=0, world_size=1)
        try:
            one = torch.ones(1, device="cuda" if backend == "nccl" else "cpu")
            distributed.all_reduce(one)
        finally:
            distributed.destroy_process_group()
    return f"{backend} adds up"
