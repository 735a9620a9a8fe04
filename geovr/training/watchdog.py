"""Ends a step that hangs, and names the rank that the others wait for.

A rank that waits in a collective can't say so itself, so each one tells the process group's store
how far it is, and a thread on every rank looks at the clock. A restart goes on from the newest
checkpoint; what hangs without end costs the whole job.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geovr import distributed
from geovr.errors import Interrupted

log = logging.getLogger("geovr")

PHASES = ("reading clips", "computing", "waiting for the others", "saving")


class Watchdog:
    """Watches this rank's steps; see `watch`."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = timeout_s
        self._store = _group_store()
        self._at = (0, 0)
        self._since = time.monotonic()
        self._over = threading.Event()

    def beat(self, step: int, phase: int) -> None:
        """This rank begins a phase (a place in PHASES) of a step."""
        self._at = (step, phase)
        if phase == 0:
            self._since = time.monotonic()
        if self._store is not None:
            self._store.set(str(distributed.rank()), f"{step} {phase}")

    def _run(self) -> None:
        while not self._over.wait(min(1.0, self._timeout / 10)):
            if time.monotonic() - self._since > self._timeout:
                self._stop()

    def _stop(self) -> None:
        # flushed at once: the process ends without unwinding, since its main thread can't move
        log.error("%s", describe(self._places(), self._timeout))
        faulthandler.dump_traceback(file=sys.stderr)
        sys.stderr.flush()
        os._exit(Interrupted.exit_code)

    def _places(self) -> dict[int, tuple[int, int]]:
        places = {distributed.rank(): self._at}
        if self._store is not None:
            for rank in range(distributed.world_size()):
                if self._store.check([str(rank)]):
                    step, phase = self._store.get(str(rank)).decode().split()
                    places[rank] = (int(step), int(phase))
        return places


@contextmanager
def watch(timeout_s: float) -> Iterator[Watchdog]:
    """Watch the steps of the block.

    Args:
        timeout_s: a step that takes longer ends the process with Interrupted's exit code.
    """
    dog = Watchdog(timeout_s)
    thread = threading.Thread(target=dog._run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield dog
    finally:
        dog._over.set()
        thread.join()


def describe(places: dict[int, tuple[int, int]], timeout_s: float) -> str:
    """Which ranks hang, by how far each one is.

    Args:
        places: rank -> its step and its place in PHASES.
        timeout_s: how long the step has taken.
    """
    behind = min(places.values())
    step, phase = behind
    late = [rank for rank, place in sorted(places.items()) if place == behind]
    who = f"rank{'s' * (len(late) > 1)} {', '.join(map(str, late))}"
    waiting = len(places) - len(late)
    others = f"; {waiting} more wait for that" if waiting else ""
    return (
        f"train: step {step} has taken more than {timeout_s:g} s in {who}, {PHASES[phase]}{others};"
        " stopping, so that the job can start again from its newest checkpoint"
        " (train.step_timeout_s sets the time)"
    )


def _group_store() -> Any:
    if distributed.world_size() == 1:
        return None
    from torch.distributed import distributed_c10d

    store = distributed_c10d._get_default_store()
    return distributed_c10d.PrefixStore("geovr/watchdog", store)
