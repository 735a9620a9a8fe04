"""One command of a run, which ends with its study: `python -m geovr.study.worker PID ARG..`.

A study that is killed outright can't end its runs; left alone they would go on beside those of the
next try.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_POLL_S = 1.0


def end_with(parent: int) -> None:
    """Send this process SIGTERM, at which training saves, when its parent is gone."""

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    sys.argv = ["geovr", *sys.argv[2:]]
    runpy.run_module("geovr", run_name="__main__")
