"""One process at a time: on a study's directory, and on a training that several studies share.

Locks are the kernel's (flock), so none is left behind by a process that was killed. A run's
processes inherit that of their study: after a study was killed outright they still save what they
have, and the next try waits for that.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geovr.errors import UserError

TRAININGS = Path(".geovr/locks")
"""Locks of trainings, which all studies of a work directory share."""
_PATIENCE_S = 60.0
_POLL_S = 0.2


@contextmanager
def locked_study(root: Path) -> Iterator[int]:
    """Hold a study's directory; gives the file descriptor for its processes to inherit.

    Raises:
        UserError: when another process holds it and doesn't end.
    """
    path = root / ".lock"
    with path.open("a+") as file:
        deadline = time.monotonic() + _PATIENCE_S
        while not _taken(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "another process"
            if _runs(holder) or time.monotonic() > deadline:
                raise UserError(
                    f"{root}: {holder} is at work on this study; wait for it or stop it, or give"
                    " another --output"
                )
            time.sleep(_POLL_S)  # it was killed, and its runs are about to end
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield file.fileno()


@contextmanager
def locked_training(key: str, stopping: threading.Event) -> Iterator[int | None]:
    """Hold a training, once whoever has it lets go.

    Gives the file descriptor for its process to inherit; None when `stopping` was set first.
    """
    TRAININGS.mkdir(parents=True, exist_ok=True)
    with (TRAININGS / key).open("w") as file:
        taken = _taken(file.fileno())
        while not taken and not stopping.wait(_POLL_S):
            taken = _taken(file.fileno())
        yield file.fileno() if taken else None


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(holder: str) -> bool:
    """Whether the process that wrote its number is there."""
    number = holder.removeprefix("process ")
    return number.isdecimal() and Path(f"/proc/{number}").exists()
