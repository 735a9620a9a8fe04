"""Reading ahead of the training step, in processes of their own or in one thread.

What is read doesn't depend on who reads it: a step's batches are a pure function of its number.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import torch

from geovr import distributed
from geovr.data.parcel import Parcel, pack, shared_bytes, unpack
from geovr.errors import Interrupted
from geovr.machine import usable_cores

T = TypeVar("T")

_MOST_WORKERS = 4
_PATIENCE_S = 600.0
"""As long as the other ranks wait for this one (distributed.process_group)."""


class ReaderDied(Interrupted):
    """A reading process ended or hangs; another try may go on."""


@contextmanager
def read_ahead(
    read: Callable[[int], T],
    start: int,
    stop: int,
    *,
    workers: int,
    ahead: int | None = None,
    patience_s: float = _PATIENCE_S,
) -> Iterator[Iterator[T]]:
    """What `read` says of start, start + 1, .. stop - 1, in this order and read beforehand.

    Processes are started afresh, so `read` must be picklable, and the program's main module must
    do nothing when it is only imported. They ignore SIGINT and SIGTERM, which reach a whole
    process group, and end with the block or with this process.

    Args:
        read: from a step's number to its batches; tensors in lists, tuples and dataclasses
            travel through shared memory.
        start: first step.
        stop: behind the last step.
        workers: processes that read; 0 reads in a thread of this process.
        ahead: most steps that are being read or wait to be taken; by default one more than there
            are workers.
        patience_s: seconds that a step may keep the caller waiting.

    Raises:
        ReaderDied: when a process ended, or a step took longer than `patience_s`.
        Exception: what `read` raised, when its step is taken.
    """
    ahead = workers + 1 if ahead is None else ahead
    if workers == 0:
        thread = ThreadPoolExecutor(1, thread_name_prefix="geovr-read")
        try:
            yield _in_order(thread, read, range(start, stop), ahead, patience_s)
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
        return
    # pickled once, and not through the pipe of a starting process, which would be waited for
    pickled = ForkingPickler.dumps(read)
    sent = shared_bytes(len(pickled))
    sent.numpy()[:] = pickled
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(sent,),
    )
    # when it starts by itself, it lets the signals through that the processes must not see
    resource_tracker.ensure_running()
    try:
        parcels = _in_order(pool, _read_parcel, range(start, stop), ahead, patience_s)
        yield (unpack(parcel) for parcel in parcels)
    finally:
        _end(pool)


def default_workers() -> int:
    """Processes that suit this node: none where the processor is busy with the training itself.

    Up to four beside a GPU, and no more than there are cores for each rank of the node.
    """
    if not torch.cuda.is_available():
        return 0
    return max(0, min(_MOST_WORKERS, usable_cores() // distributed.local_world_size() - 1))


def _in_order(
    executor: Executor,
    read: Callable[[int], T],
    steps: range,
    ahead: int,
    patience_s: float,
) -> Iterator[T]:
    """Results in order; reading begins at once, not with the first `next`."""
    following = iter(steps)
    waiting: deque[tuple[int, Future[T]]] = deque()

    def ask() -> None:
        for step in following:
            with _signals_kept_back():
                waiting.append((step, executor.submit(read, step)))
            if len(waiting) >= ahead:
                return

    def results() -> Iterator[T]:
        while waiting:
            step, future = waiting.popleft()
            try:
                result = future.result(patience_s)
                ask()
            except BrokenProcessPool as error:
                raise ReaderDied(
                    f"a reading process ended while step {step} was awaited: killed, or out of"
                    " memory; run the same command again, and if it happens again lower"
                    " train.data_workers or train.cache_mb, or raise the job's memory"
                ) from error
            except TimeoutError:
                if future.done():  # the reading itself ran out of time, and says so
                    raise
                raise ReaderDied(
                    f"reading step {step} takes more than {patience_s:.0f} s; see whether the"
                    " store answers, then run the same command again"
                ) from None
            yield result

    ask()
    return results()


@contextmanager
def _signals_kept_back() -> Iterator[None]:
    """SIGINT and SIGTERM wait; a process that starts meanwhile keeps them waiting for good."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _end(pool: ProcessPoolExecutor) -> None:
    """Kill the processes: what they read now is of no use, and a hanging one must not stay."""
    for process in list(pool._processes.values()):  # kill_workers() from Python 3.14 on
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


_read: Callable[[int], Any] | None = None
"""Of a reading process."""


def _begin(sent: torch.Tensor) -> None:
    global _read
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _read = ForkingPickler.loads(sent.numpy().data)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


def _read_parcel(step: int) -> Parcel:
    if _read is None:
        raise RuntimeError("this is no reading process")
    return pack(_read(step))
