"""Worker processes that share the scenes among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from geovr.errors import Interrupted
from geovr.machine import usable_cores

T = TypeVar("T")
R = TypeVar("R")


def spread(work: Callable[[T], R], items: Sequence[T], processes: int, chunk: int) -> Iterator[R]:
    """Work on every item and yield what comes of it, in order.

    Args:
        work: on one scene; it must survive being sent to another process.
        items: what it takes.
        processes: workers; 0: one for each core. There are never more than chunks.
        chunk: items a worker takes at a time.

    Raises:
        Interrupted: when stopped, or when a worker was killed.
    """
    processes = processes or usable_cores()
    processes = min(processes, -(-len(items) // chunk))
    if processes <= 1:
        yield from map(work, items)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: the parent may hold threads of embree, BLAS or a progress bar.
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield from pool.map(work, items, chunksize=chunk)
    except BrokenProcessPool:
        raise Interrupted(
            "simulate: a worker process was killed (out of memory?); complete scenes are kept: "
            "run the same command again, with fewer --processes if it repeats"
        ) from None
    except KeyboardInterrupt:
        raise Interrupted(
            "simulate: interrupted; complete scenes are kept: run the same command again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when its parent is killed, which would leave it waiting for ever."""
    import multiprocessing
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
