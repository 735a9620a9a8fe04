"""Reads steps by two processes until it is killed: `reading_program.py`.

Prints for each step the ids of the reading processes, and how many signals have come so far.
"""

from __future__ import annotations

import os
import signal
import time

from geovr.data.loader import read_ahead


def read(step: int) -> int:
    time.sleep(0.05)
    return os.getpid()


if __name__ == "__main__":
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: came.append(number))
    readers: set[int] = set()
    with read_ahead(read, 0, 1_000_000, workers=2) as steps:
        for reader in steps:
            readers.add(reader)
            if len(readers) == 2:
                print(*sorted(readers), len(came), flush=True)
