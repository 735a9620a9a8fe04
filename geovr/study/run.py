"""`geovr study run`: every arm with every seed, through the stages train and evaluate.

Each run is two processes of the command line, so that several share a machine and a killed one is
only itself. What is done stays done: the same command goes on, within a training too.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from geovr.artifacts import ClipSet, TargetSet
from geovr.config import digest
from geovr.errors import Interrupted, UserError
from geovr.progress import Progress, progress
from geovr.storage import write_atomic
from geovr.study.config import Arm, StudyConfig, run_params
from geovr.study.prepare import base_model, prepare, targets_of, write_params
from geovr.study.results import run_directory

log = logging.getLogger("geovr")

_STEP = re.compile(r"train: (\d+)/\d+ steps")
_FOUND = "is trained already"
"""Training says so of what another study or an earlier try trained: that took no time here."""
_POLL_S = 1.0
_TAIL = 12
"""Lines of a failed run's log that are shown."""
_MEMORY_GB = 5.0
"""That a run on small clips takes at most, its cache included."""


@dataclass(frozen=True)
class _Job:
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


def default_jobs() -> int:
    """Runs at a time: one for each core, as far as memory goes; on a GPU at most four."""
    import torch

    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    most = 4 if torch.cuda.is_available() else cores
    return max(1, min(cores, most, int(memory / _MEMORY_GB)))


def run_study(
    study: StudyConfig,
    root: Path,
    *,
    jobs: int = 0,
    arms: tuple[str, ...] = (),
) -> dict[str, int]:
    """Bring the runs of a study to their end.

    Args:
        study: the study.
        root: its directory; results.py says what stands there.
        jobs: runs at a time; 0: default_jobs.
        arms: of the study, to run only these; all when empty.

    Returns:
        counts: runs done now, runs that were done before.

    Raises:
        UserError: for parameters that are wrong, told before anything is trained, and at the end
            when a run failed.
        Interrupted: when stopped; the same command goes on.
    """
    names = [arm.name for arm in study.arms]
    if not set(arms) <= set(names):
        raise UserError(f"--arms {', '.join(arms)}: the study has {', '.join(names)}")
    root.mkdir(parents=True, exist_ok=True)
    write_atomic(root / "study.json", (study.model_dump_json(indent=1) + "\n").encode())
    _check_arms(study)
    prepare(study, root)
    models = {seed: base_model(study, seed) for seed in study.seeds}
    chosen = [
        _job(study, arm, seed, root, models[seed])
        # all arms of a seed before the next seed: a study that is stopped half-way compares
        for seed in study.seeds
        for arm in study.arms
        if not arms or arm.name in arms
    ]
    left = [job for job in chosen if not job.done]
    counts = {"done": len(left), "kept": len(chosen) - len(left)}
    if not left:
        log.info("study %s: all %d runs are done already", study.name, len(chosen))
        return counts
    jobs = min(jobs or default_jobs(), len(left))
    cores = len(os.sched_getaffinity(0))
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
    parents = _parent_runs(study, root, left)
    log.info("study %s: %d runs, %d at a time", study.name, len(left), jobs)
    _run_all(left, jobs, environment, parents, sum(job.steps for job in chosen))
    return counts


def _check_arms(study: StudyConfig) -> None:
    """Every arm's parameters, before an hour is spent on the first."""
    from geovr.config import stage_values, validate
    from geovr.stages.evaluate import EvaluateConfig
    from geovr.training.config import TrainConfig

    for arm in study.arms:
        params = run_params(study, arm, study.seeds[0])
        params.setdefault("train", {}).setdefault("base_model", "")
        for section, config in (("train", TrainConfig), ("evaluate", EvaluateConfig)):
            source = f"study {study.name}, arm {arm.name}, {section}"
            validate(config, stage_values(params, section), source=source)


def _job(study: StudyConfig, arm: Arm, seed: int, root: Path, model: Path | None) -> _Job:
    params = run_params(study, arm, seed)
    if model is not None:
        params["train"]["base_model"] = str(model)
    directory = run_directory(root, arm.name, seed)
    steps = int(params["train"]["steps"])
    return _Job(arm, seed, directory, params, root / "clips", targets_of(root, arm.plant), steps)


def _parent_runs(study: StudyConfig, root: Path, jobs: list[_Job]) -> dict[str, str]:
    """An MLflow run for the study, one for each arm below it, and below these the trainings."""
    from geovr import tracking
    from geovr.tracking_runs import start_sweep

    experiment = str(jobs[0].params.get("experiment", "geovr"))
    top = start_sweep(experiment, f"study {study.name}")
    write_atomic(root / "parent_run.txt", f"{top}\n".encode())
    parents = {}
    for arm in dict.fromkeys(job.arm.name for job in jobs):
        parents[arm] = start_sweep(experiment, f"study {study.name}, {arm}")
        with tracking.reopen(parents[arm]) as run:
            run.set_tags({tracking.PARENT_TAG: top})
    return parents


class _Stopped(Exception):
    """A run that was ended because all are."""


def _run_all(
    jobs: list[_Job], at_once: int, environment: dict[str, str], parents: dict[str, str], total: int
) -> None:
    stopping = threading.Event()
    running: list[_Job] = []
    failed: dict[str, str] = {}

    def work(job: _Job) -> None:
        running.append(job)
        _run_one(job, environment | {"GEOVR_PARENT_RUN": parents[job.arm.name]}, stopping)

    done_before = total - sum(job.steps for job in jobs)
    with (
        ThreadPoolExecutor(at_once) as pool,
        progress("study", total, "steps", done=done_before) as bar,
        _stop_on_signal(stopping),
    ):
        futures: dict[Future[None], _Job] = {pool.submit(work, job): job for job in jobs}
        waiting = set(futures)
        finished = 0
        while waiting:
            ended, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in ended:
                job = futures[future]
                if job in running:
                    running.remove(job)
                error = future.exception()
                if isinstance(error, _Stopped):
                    continue
                if error is not None:
                    failed[job.name] = str(error)
                    log.error("study: %s failed: %s", job.name, error)
                finished += job.steps
            _show(bar, done_before + finished + sum(job.steps_done() for job in list(running)))
    if stopping.is_set():
        raise Interrupted("study: stopped; what is done stays, the same command goes on")
    if failed:
        raise UserError(
            f"study: {len(failed)} of {len(jobs)} runs failed: {', '.join(sorted(failed))}; their"
            " reasons stand above and in their logs; the same command tries them again"
        )


def _show(bar: Progress, steps: int) -> None:
    if steps > bar.done:
        bar.advance(steps - bar.done)


def _run_one(job: _Job, environment: dict[str, str], stopping: threading.Event) -> None:
    """train, then evaluate; seconds of all tries are added up, not of what was done before."""
    write_params(job.directory / "params.yaml", job.params)
    checkpoint, evaluation = job.directory / "checkpoint", job.directory / "evaluation"
    inputs = ["--clips", str(job.clips)]
    trained = ["--targets", str(job.targets), "--output", str(checkpoint)]
    answered = ["--checkpoint", str(checkpoint), "--output", str(evaluation)]
    for stage, options in (("train", inputs + trained), ("evaluate", inputs + answered)):
        params = ["--params", str(job.directory / "params.yaml")]
        _stage(job, stage, [*params, *options], environment, stopping)
    told = {"key": job.key, "seconds": _seconds(job)}
    write_atomic(job.directory / "done.json", (json.dumps(told, indent=1) + "\n").encode())


def _seconds(job: _Job) -> dict[str, float]:
    path = job.directory / "seconds.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return known["seconds"] if known.get("key") == job.key else {}


def _stage(
    job: _Job,
    stage: str,
    options: list[str],
    environment: dict[str, str],
    stopping: threading.Event,
) -> None:
    if stopping.is_set():
        raise _Stopped
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
        raise _Stopped
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    raise RuntimeError(
        f"{stage} ended with {process.returncode}; {path} ends:\n  " + "\n  ".join(lines[-_TAIL:])
    )


@contextmanager
def _stop_on_signal(stopping: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM end the runs in hand, and start none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda *_: stopping.set()) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
