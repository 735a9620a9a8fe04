"""Toy trainings on several ranks, forked and joined by gloo; one may be killed at some change."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # an optimizer's first step does, for a second: here once for all ranks
from torch import nn

from geovr import distributed
from geovr.storage import Store
from geovr.training.checkpoint import Checkpoints, tensors_of
from geovr.training.parallel import sum_replicated

LIMIT_S, GRACE_S = 60.0, 5.0
WIDTH = 5
"""Odd, so that two ranks get shards of unequal size."""


_FORKS = multiprocessing.get_context("forkserver")
# a process that has computed with torch can't be forked: its thread pool doesn't come along
_FORKS.set_forkserver_preload(["tests.training.ranks"])


def run_ranks(world: int, work: Callable[[], Any]) -> tuple[list[int], str]:
    """Exit codes of ranks that do the work, and what they said.

    Args:
        world: how many.
        work: can be pickled. After one rank has died the others have some seconds.
    """
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (world, Path(scratch), work)
        ranks = [_FORKS.Process(target=_rank, args=(rank, *arguments)) for rank in range(world)]
        for rank in ranks:
            rank.start()
        deadline = time.monotonic() + LIMIT_S
        while any(rank.exitcode is None for rank in ranks):
            if any(rank.exitcode for rank in ranks):
                deadline = min(deadline, time.monotonic() + GRACE_S)
            if time.monotonic() > deadline:
                for rank in ranks:
                    rank.kill()
            time.sleep(0.005)
        return [rank.exitcode or 0 for rank in ranks], (Path(scratch) / "said").read_text()


def _rank(rank: int, world: int, scratch: Path, work: Callable[[], Any]) -> None:
    said = os.open(scratch / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 2)
    logging.getLogger("geovr").addHandler(logging.StreamHandler())
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world),
    }  # fmt: skip
    if world > 1:
        torch.distributed.init_process_group(
            "gloo",
            init_method=(scratch / "meeting").as_uri(),
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=LIMIT_S),
        )
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def made() -> tuple[nn.Sequential, torch.optim.Optimizer]:
    """A backbone that ranks share by FSDP2, and a head that each has whole."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1))
    world = distributed.world_size()
    if world > 1:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        backbone = fully_shard(model[0], mesh=init_device_mesh("cpu", (world,)))
        backbone.set_gradient_divide_factor(1.0)
        backbone.set_force_sum_reduction_for_comms(True)
    return model, torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)


def step(number: int, model: nn.Sequential, optimizer: torch.optim.Optimizer) -> float:
    """A step whose sums are exact, so that it is the same to the last bit on any two ranks."""
    torch.manual_seed(number)
    optimizer.zero_grad(set_to_none=True)
    loss = model(torch.randn(4, 3)).square().mean() / distributed.world_size()
    loss.backward()
    sum_replicated(model[2].parameters())
    optimizer.step()
    return float(loss.detach()) * distributed.world_size()


def fingerprint(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> str:
    """sha256 of all parameters and moments, whole."""
    total = hashlib.sha256()
    tensors = tensors_of(model, optimizer)  # type: ignore[arg-type]
    for name in sorted(tensors):
        value: Any = tensors[name]
        whole = value.full_tensor() if hasattr(value, "full_tensor") else value
        total.update(name.encode() + whole.numpy().tobytes())
    return total.hexdigest()


def train(place: Path, until: int, report: Path, **options: Any) -> None:
    """Go on from the newest checkpoint with a save after every step; rank 0 tells what it saw."""
    checkpoints = Checkpoints(Store.open(str(place)), "training/key", **({"keep": 1} | options))
    model, optimizer = made()
    state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    start, losses = (int(state["step"]), state["losses"]) if state else (0, [])
    told = {"start": start, "loaded": fingerprint(model, optimizer)}
    with checkpoints.open():
        for number in range(start, until):
            losses = [*losses, step(number, model, optimizer)]
            checkpoints.save(number + 1, model, optimizer, {"losses": losses}, 1 / (number + 1))  # type: ignore[arg-type]
    told |= {"ended": fingerprint(model, optimizer), "losses": losses}
    if distributed.rank() == 0:
        report.write_text(json.dumps(told))


def train_and_die(
    rank: int, at: int, counts: Path, place: Path, until: int, report: Path, **options: Any
) -> None:
    """SIGKILL to one rank before its change number `at` to a store; `counts` has their number."""
    if distributed.rank() == rank:
        _die_at(at, counts)
    train(place, until, report, **options)


def _die_at(at: int, counts: Path) -> None:
    done = 0
    for name in ("put", "remove"):
        original = getattr(Store, name)

        def change(self: Store, key: str, *rest: Any, original: Any = original) -> Any:
            nonlocal done
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            counts.write_text(str(done))
            return original(self, key, *rest)

        setattr(Store, name, change)


def train_and_die_writing(
    at: int, counts: Path, place: Path, until: int, report: Path, **options: Any
) -> None:
    """Die before change number `at` to the files below `place`; Python tells of each."""
    changes = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}
    done = 0

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if event not in changes or str(place) not in str(arguments[0]):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            return
        if done == at:
            os._exit(9)  # nothing is unwound or flushed
        done += 1

    sys.addaudithook(hear)
    train(place, until, report, **options)
    counts.write_text(str(done))


def train_on_a_full_disk(ending: str, place: Path, until: int, report: Path) -> None:
    """No room for keys of this ending."""
    put = Store.put

    def full(self: Store, key: str, data: bytes) -> str:
        if key.endswith(ending):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), key)
        return put(self, key, data)

    Store.put = full  # type: ignore[method-assign]
    train(place, until, report)
