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
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from geovr.artifacts import ClipSet, TargetSet
from geovr.config import digest
from geovr.stages.train import directory_digest
from geovr.storage import write_atomic
from geovr.study.config import Arm
from geovr.study.locks import locked_training
from geovr.study.prepare import write_params
from geovr.study.results import done_key, stands

_STEP = re.compile(r"train: (\d+)/\d+ steps")
_FOUND = "is trained already"
"""Training says so of what another study or an earlier try trained: that took no time here."""
_TAIL = 12
"""Lines of a failed run's log that are shown."""
_POLL_S = 0.2
_WRITE_S = 5.0


class Stopped(Exception):
    """A run that was ended because all are."""


class StageFailed(Exception):
    """A run's stage failed; the message has the last lines of its log."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        """Of the stage's process; negative for one that a signal ended."""


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
    def _inputs(self) -> dict[str, str]:
        """Digests of what training reads."""
        return {
            "clips": ClipSet.load(self.clips).digest,
            "targets": TargetSet.load(self.targets).digest,
            "base_model": directory_digest(Path(self.params["train"]["base_model"])),
        }

    @cached_property
    def key(self) -> str:
        """Of all that decides the result but the code."""
        return digest({"params": self.params, **self._inputs})

    @cached_property
    def training(self) -> str:
        """The same, of its training alone: studies with a common arm share that."""
        return digest({"train": self.params["train"], **self._inputs})[:24]

    @property
    def done(self) -> bool:
        """Whether its result stands, made from the same."""
        return done_key(self.directory) == self.key and stands(self.directory)

    def steps_done(self) -> int:
        """Steps of its training that the log tells of."""
        try:
            text = (self.directory / "train.log").read_text(errors="replace")
        except FileNotFoundError:
            return 0
        found = _STEP.findall(text)
        return min(int(found[-1]), self.steps) if found else 0


@dataclass(frozen=True)
class Surroundings:
    """What all runs of a study share while they run.

    Attributes:
        environment: of their processes.
        stopping: set when they are to save and end.
        killing: set when they are to end at once.
        inherited: file descriptors that their processes keep open: the study's lock.
    """

    environment: dict[str, str]
    stopping: threading.Event
    killing: threading.Event
    inherited: tuple[int, ...] = ()


def run_job(job: Job, around: Surroundings) -> None:
    """train, then evaluate; seconds of all tries are added up, not of what was done before.

    Raises:
        Stopped: when `stopping` was set.
        StageFailed: when a stage failed.
    """
    # what an earlier run with other parameters left is not this one's
    (job.directory / "done.json").unlink(missing_ok=True)
    write_params(job.directory / "params.yaml", job.params)
    checkpoint, evaluation = job.directory / "checkpoint", job.directory / "evaluation"
    common = ["--params", str(job.directory / "params.yaml"), "--clips", str(job.clips)]
    trained = ["--targets", str(job.targets), "--output", str(checkpoint)]
    answered = ["--checkpoint", str(checkpoint), "--output", str(evaluation)]
    with locked_training(job.training, around.stopping) as lock:
        if lock is None:
            raise Stopped
        held = replace(around, inherited=(*around.inherited, lock))
        _run_stage(job, "train", common + trained, held)
    _run_stage(job, "evaluate", common + answered, around)
    told = {"key": job.key, "seconds": _seconds(job)}
    write_atomic(job.directory / "done.json", (json.dumps(told, indent=1) + "\n").encode())


def _seconds(job: Job) -> dict[str, float]:
    path = job.directory / "seconds.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return known["seconds"] if known.get("key") == job.key else {}


def _run_stage(job: Job, stage: str, options: list[str], around: Surroundings) -> None:
    if around.stopping.is_set():
        raise Stopped
    path = job.directory / f"{stage}.log"
    command = [sys.executable, "-m", "geovr.study.worker", str(os.getpid()), stage, *options]
    with path.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=around.environment,
            start_new_session=True,
            pass_fds=around.inherited,
        )
        _wait(job, stage, process, around)
    if process.returncode == 0:
        return
    if around.stopping.is_set():
        raise Stopped
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    last = "\n  ".join(lines[-_TAIL:])
    raise StageFailed(
        f"{stage} ended with {process.returncode}; {path} ends:\n  {last}", process.returncode
    )


def _wait(job: Job, stage: str, process: subprocess.Popen[bytes], around: Surroundings) -> None:
    """Until a stage's process has ended.

    Its seconds are written down on the way, for a study that is killed can't write them.
    """
    before, began, asked = _seconds(job), time.monotonic(), False
    due = began + _WRITE_S
    while process.poll() is None:
        if not asked and around.stopping.is_set():
            process.send_signal(signal.SIGTERM)  # training saves the step in hand
            asked = True
        if around.killing.is_set():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if time.monotonic() >= due:
            _write_seconds(job, before | {stage: before.get(stage, 0.0) + time.monotonic() - began})
            due += _WRITE_S
        time.sleep(_POLL_S)
    log = (job.directory / f"{stage}.log").read_text(errors="replace")
    if stage == "train" and _FOUND in log:
        _write_seconds(job, before)
    else:
        _write_seconds(job, before | {stage: before.get(stage, 0.0) + time.monotonic() - began})


def _write_seconds(job: Job, seconds: dict[str, float]) -> None:
    told = {stage: round(spent, 2) for stage, spent in seconds.items()}
    text = json.dumps({"key": job.key, "seconds": told})
    write_atomic(job.directory / "seconds.json", text.encode())
