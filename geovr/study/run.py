"""`geovr study run`: every arm with every seed, through the stages train and evaluate.

Each run is two processes of the command line, so that several share a machine and a killed one is
only itself. What is done stays done: the same command goes on, within a training too.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from geovr.errors import Interrupted, RunFailed, UserError
from geovr.machine import usable_cores, usable_memory
from geovr.progress import Progress, progress
from geovr.storage import write_atomic
from geovr.study.checks import check
from geovr.study.config import Arm, StudyConfig, run_params
from geovr.study.job import Job, Stopped, Surroundings, run_job
from geovr.study.locks import locked_study
from geovr.study.prepare import base_model, prepare, targets_of
from geovr.study.results import KEYS, run_directory
from geovr.study.tracked import Parents

log = logging.getLogger("geovr")

_POLL_S = 1.0
_MEMORY_GB = 5.0
"""That a run on small clips takes at most, its cache included."""


def default_jobs() -> int:
    """Runs at a time: one for each core, as far as memory goes; on a GPU at most four."""
    import torch

    cores = usable_cores()
    most = 4 if torch.cuda.is_available() else cores
    return max(1, min(cores, most, int(usable_memory() / 1e9 / _MEMORY_GB)))


def run_study(
    study: StudyConfig,
    root: Path,
    *,
    jobs: int = 0,
    arms: tuple[str, ...] = (),
) -> dict[str, int]:
    """Bring the runs of a study to their end.

    Args:
        study: the study; runs that are done with other seeds of the same stay in its report.
        root: its directory; results.py says what stands there.
        jobs: runs at a time; 0: default_jobs.
        arms: of the study, to run only these; all when empty.

    Returns:
        counts: runs done now, runs that were done before.

    Raises:
        UserError: for parameters that are wrong, told before anything is made, when another
            process is at work there, and at the end when runs failed for such a reason.
        RunFailed: at the end, when runs failed for others.
        Interrupted: when stopped, or when all that failed can go on; the same command does.
    """
    names = [arm.name for arm in study.arms]
    if not set(arms) <= set(names):
        raise UserError(f"--arms {', '.join(arms)}: the study has {', '.join(names)}")
    check(study)
    root.mkdir(parents=True, exist_ok=True)
    with locked_study(root) as lock:
        prepare(study, root)
        planned = _plan(study, root)
        chosen = [
            job for job in planned
            if job.seed in study.seeds and (not arms or job.arm.name in arms)
        ]  # fmt: skip
        left = [job for job in chosen if not job.done]
        counts = {"done": len(left), "kept": len(chosen) - len(left)}
        if not left:
            log.info("study %s: all %d runs are done already", study.name, len(chosen))
            return counts
        jobs = min(jobs or default_jobs(), len(left))
        # who sets the number of threads wants the numbers of another door to the last bit
        threads = {"OMP_NUM_THREADS": str(max(1, usable_cores() // jobs))}
        parents = Parents(study, root, left)
        log.info("study %s: %d runs, %d at a time", study.name, len(left), jobs)
        around = Surroundings(
            threads | dict(os.environ), threading.Event(), threading.Event(), (lock,)
        )
        _run_all(left, jobs, around, parents, sum(job.steps for job in chosen))
    return counts


def _plan(study: StudyConfig, root: Path) -> list[Job]:
    """All runs that the study has now, written to study.json and keys.json.

    With seeds that aren't asked, but of which a run stands. All arms of a seed come before the
    next seed: a study that is stopped half-way compares.
    """
    known = {int(place.name) for place in root.glob("runs/*/*") if place.name.isdecimal()}
    others = sorted(known - set(study.seeds))
    planned: dict[int, list[Job]] = {}
    for seed in (*study.seeds, *others):
        model = base_model(study, seed)
        planned[seed] = [_job(study, arm, seed, root, model) for arm in study.arms]
        if seed in others and not any(job.done for job in planned[seed]):
            del planned[seed]
    told = study.model_copy(update={"seeds": tuple(sorted(planned))})
    planned_jobs = [job for seed in planned for job in planned[seed]]
    keys = {job.name: job.key for job in planned_jobs}
    write_atomic(root / "study.json", (told.model_dump_json(indent=1) + "\n").encode())
    write_atomic(root / KEYS, (json.dumps(keys, indent=1) + "\n").encode())
    return planned_jobs


def _job(study: StudyConfig, arm: Arm, seed: int, root: Path, model: Path | None) -> Job:
    params = run_params(study, arm, seed)
    if model is not None:
        params["train"]["base_model"] = str(model)
    directory = run_directory(root, arm.name, seed)
    steps = int(params["train"]["steps"])
    return Job(arm, seed, directory, params, root / "clips", targets_of(root, arm.plant), steps)


def _run_all(
    jobs: list[Job], at_once: int, around: Surroundings, parents: Parents, total: int
) -> None:
    running: list[Job] = []
    failed: dict[str, BaseException] = {}

    def work(job: Job) -> None:
        running.append(job)
        environment = around.environment | {"GEOVR_PARENT_RUN": parents.of(job)}
        run_job(job, replace(around, environment=environment))
        parents.finished(job)

    done_before = total - sum(job.steps for job in jobs)
    with (
        ThreadPoolExecutor(at_once) as pool,
        progress("study", total, "steps", done=done_before) as bar,
        _stop_on_signal(around),
    ):
        futures: dict[Future[None], Job] = {pool.submit(work, job): job for job in jobs}
        waiting = set(futures)
        finished = 0
        while waiting:
            ended, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in ended:
                job = futures[future]
                if job in running:
                    running.remove(job)
                error = future.exception()
                if isinstance(error, Stopped):
                    continue
                if error is not None:
                    failed[job.name] = error
                    log.error("study: %s failed: %s", job.name, error)
                finished += job.steps
            _show(bar, done_before + finished + sum(job.steps_done() for job in list(running)))
    if around.stopping.is_set():
        raise Interrupted("study: stopped; what is done stays, the same command goes on")
    if failed:
        _tell(failed, len(jobs))


def _tell(failed: Mapping[str, BaseException], runs: int) -> NoReturn:
    """With the exit code that the runs ended with, where they agree on one."""
    codes = {getattr(error, "exit_code", 1) for error in failed.values()}
    known = {kind.exit_code: kind for kind in (UserError, Interrupted)}
    raise known.get(codes.pop() if len(codes) == 1 else 1, RunFailed)(
        f"study: {len(failed)} of {runs} runs failed: {', '.join(sorted(failed))}; their reasons"
        " stand above and in their logs; the same command tries them again"
    )


def _show(bar: Progress, steps: int) -> None:
    if steps > bar.done:
        bar.advance(steps - bar.done)


@contextmanager
def _stop_on_signal(around: Surroundings) -> Iterator[None]:
    """SIGINT and SIGTERM let the runs in hand save and end, and start none; a second one kills."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        if around.stopping.is_set():
            around.killing.set()
        around.stopping.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, stop) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
