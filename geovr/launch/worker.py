"""What one rank of a job does."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

from geovr import distributed, errors
from geovr.config import validate
from geovr.launch.channel import ERRORS, Channel
from geovr.stages import BY_NAME
from geovr.stages.run import call

log = logging.getLogger("geovr")

_POLL_S = 0.5
_GRACE_S = 30.0


def work(stage_name: str, place: str) -> None:
    """Do the job that waits at a place, and say there how it ended.

    Args:
        stage_name: of geovr.stages.STAGES.
        place: the job's channel, a directory or s3:// prefix.

    Raises:
        UserError, GateRefused, Interrupted: what the stage raised.
    """
    channel = Channel(place)
    told = channel.work()
    pids = [int(os.environ["GEOVR_AGENT"])]
    if told.launcher_pid is not None:
        pids.append(told.launcher_pid)
    _end_with(*pids)
    if told.directory is not None:
        os.chdir(told.directory)
    if distributed.rank() == 0:
        channel.put_first_node(int(os.environ.get("GEOVR_NODE", "0")))
    stage = BY_NAME[stage_name]
    config = validate(stage.config_class(), told.config, source=place)
    output = Path(told.output or os.environ["GEOVR_NODE_OUTPUT"])
    try:
        call(stage, config, told.inputs, output)
    except tuple(ERRORS.values()) as error:
        channel.tell(error)
        raise
    if told.output is None and distributed.rank() == 0:
        channel.put_output(output)


def _end_with(*pids: int) -> None:
    """Ask this process to stop when one of these is gone: a killed launcher or agent must leave
    no orphans.
    """

    def watch() -> None:
        while all(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        os._exit(errors.Interrupted.exit_code)

    threading.Thread(target=watch, daemon=True).start()
