"""One run of a study: train, then evaluate, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from geovr.artifacts import ClipSet, TargetSet
from geovr.config import digest
from geovr.storage import write_atomic
from geovr.study.config import Arm
from geovr.study.prepare import write_params

_STEP = re.compile(r"train: (\d+)/\d+ steps")
_FOUND = "is trained already"
"""Training says so of what another study or an earlier try trained: that took no time here."""
_TAIL = 12
"""Lines of a failed run's log that are shown."""


class Stopped(Exception):
    """A run that was ended because all are."""


@dataclass(frozen=True)
class Job:
    """One run: its files, and what makes its result."""

    arm: Arm
    seed: int
    directory: Path
    params: dict[str, Any]
    clips: Path
    targets: Path
    steps: int

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.arm.name}/{self.seed}"

    @cached_property
    def key(self) -> str:
        """Of all that decides the result but the code."""
        clips, targets = ClipSet.load(self.clips).digest, TargetSet.load(self.targets).digest
        return digest({"params": self.params, "clips": clips, "targets": targets})

    @property
    def done(self) -> bool:
        """Whether its result stands, made from the same."""
        path = self.directory / "done.json"
        return path.is_file() and json.loads(path.read_text())["key"] == self.key

    def steps_done(self) -> int:
        """Steps of its training that the log tells of."""
        try:
            text = (self.directory / "train.log").read_text(errors="replace")
        except FileNotFoundError:
            return 0
        found = _STEP.findall(text)
        return min(int(found[-1]), self.steps) if found else 0


def run_job(job: Job, environment: dict[str, str], stopping: threading.Event) -> None:
    """train, then evaluate; seconds of all tries are added up, not of what was done before.

    Raises:
        Stopped: when `stopping` was set.
        RuntimeError: with the last lines of the log, when a stage failed.
    """
    # what an earlier run with other parameters left is not this one's
    (job.directory / "done.json").unlink(missing_ok=True)
    write_params(job.directory / "params.yaml", job.params)
    checkpoint, evaluation = job.directory / "checkpoint", job.directory / "evaluation"
    inputs = ["--clips", str(job.clips)]
    trained = ["--targets", str(job.targets), "--output", str(checkpoint)]
    answered = ["--checkpoint", str(checkpoint), "--output", str(evaluation)]
    for stage, options in (("train", inputs + trained), ("evaluate", inputs + answered)):
        params = ["--params", str(job.directory / "params.yaml")]
        _run_stage(job, stage, [*params, *options], environment, stopping)
    told = {"key": job.key, "seconds": _seconds(job)}
    write_atomic(job.directory / "done.json", (json.dumps(told, indent=1) + "\n").encode())


def _seconds(job: Job) -> dict[str, float]:
    path = job.directory / "seconds.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return known["seconds"] if known.get("key") == job.key else {}


def _run_stage(
    job: Job,
    stage: str,
    options: list[str],
    environment: dict[str, str],
    stopping: threading.Event,
) -> None:
    if stopping.is_set():
        raise Stopped
    began = time.monotonic()
    path = job.directory / f"{stage}.log"
    command = [sys.executable, "-m", "geovr.study.worker", str(os.getpid()), stage, *options]
    with path.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        while process.poll() is None:
            if stopping.wait(0.2):
                process.send_signal(signal.SIGTERM)  # training saves the step in hand
                process.wait()
    seconds = _seconds(job)
    if not (stage == "train" and _FOUND in path.read_text(errors="replace")):
        seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - began, 2)
    told = json.dumps({"key": job.key, "seconds": seconds})
    write_atomic(job.directory / "seconds.json", told.encode())
    if process.returncode == 0:
        return
    if stopping.is_set():
        raise Stopped
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    raise RuntimeError(
        f"{stage} ended with {process.returncode}; {path} ends:\n  " + "\n  ".join(lines[-_TAIL:])
    )
