"""Only one promotion of a model at a time: a lease, as objects that are written once.

MLflow moves an alias for whoever asks last. Lease n is the object <n>.json, which only one writer
can create (If-None-Match on S3, a hard link on a disk); it ends when <n>.released is there, or at
the time that it names. Who wants the lease creates the next number after one that has ended.
Clocks that differ by more than a lease lasts would be needed for two to hold one.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from geovr.errors import Interrupted
from geovr.storage import Store

LASTS_S = 120.0
"""What is done under it takes seconds."""
_KEPT = 8


class Lease:
    """A lease that is held."""

    def __init__(self, store: Store, prefix: str, number: int, ends: float) -> None:
        self.store, self.prefix, self.number, self.ends = store, prefix, number, ends

    def check(self) -> None:
        """Make sure that nobody else can have it.

        Raises:
            Interrupted: when it has run out; the same command tries again.
        """
        if time.time() > self.ends or _newest(self.store, self.prefix) != self.number:
            raise Interrupted(
                f"{self.store.uri_of(self.prefix)}: the lease ran out before the promotion was"
                " done; nothing was promoted, run the same command again"
            )


@contextmanager
def lease(
    store: Store,
    model_name: str,
    *,
    patience_s: float = 60.0,
    lasts_s: float = LASTS_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Lease]:
    """Hold the lease of a model while the block runs.

    Args:
        store: the same for all who promote versions of this model.
        model_name: whose aliases are moved.
        patience_s: how long to wait for another holder.
        lasts_s: after which others may take it, when this process dies.
        sleep: waits.

    Raises:
        Interrupted: when another one holds it for longer; the message says who.
    """
    prefix = f"promotion/{model_name}/leases"
    held = _take(store, prefix, time.monotonic() + patience_s, lasts_s, sleep)
    try:
        yield held
    finally:
        store.put_new(f"{prefix}/{held.number:08d}.released", b"{}")
        for old in range(max(0, held.number - 2 * _KEPT), held.number - _KEPT):
            for ending in ("json", "released"):
                store.remove(f"{prefix}/{old:08d}.{ending}")


def _take(
    store: Store, prefix: str, deadline: float, lasts_s: float, sleep: Callable[[float], None]
) -> Lease:
    while True:
        number = _newest(store, prefix)
        holder = _holder(store, prefix, number)
        if holder is None:
            mine = {
                "holder": f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
                "ends": time.time() + lasts_s,
            }
            text = json.dumps(mine, sort_keys=True).encode()
            if store.put_new(f"{prefix}/{number + 1:08d}.json", text) == text:
                return Lease(store, prefix, number + 1, mine["ends"])  # type: ignore[arg-type]
            continue
        if time.monotonic() > deadline:
            raise Interrupted(
                f"{store.uri_of(prefix)}: {holder} is promoting a version of this model; run the"
                " same command again when it is done"
            )
        sleep(0.5)


def _newest(store: Store, prefix: str) -> int:
    numbers = [int(key.rsplit("/", 1)[1].split(".")[0]) for key in store.keys(prefix)]
    return max(numbers, default=0)


def _holder(store: Store, prefix: str, number: int) -> str | None:
    """Who holds a lease, None when it has ended."""
    if number == 0 or store.exists(f"{prefix}/{number:08d}.released"):
        return None
    told = json.loads(store.get(f"{prefix}/{number:08d}.json"))
    return None if time.time() > told["ends"] else str(told["holder"])
