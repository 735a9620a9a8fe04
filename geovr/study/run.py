"""`geovr study run`: every arm with every seed, through the stages train and evaluate.

Each run is two processes of the command line, so that several share a machine and a killed one is
only itself. What is done stays done: the same command goes on, within a training too.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from geovr.errors import Interrupted, UserError
from geovr.progress import Progress, progress
from geovr.storage import write_atomic
from geovr.study.config import Arm, StudyConfig, run_params
from geovr.study.job import Job, Stopped, run_job
from geovr.study.prepare import base_model, prepare, targets_of
from geovr.study.results import PARENT, run_directory

log = logging.getLogger("geovr")

_POLL_S = 1.0
_MEMORY_GB = 5.0
"""That a run on small clips takes at most, its cache included."""


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
    _check_arms(study)
    root.mkdir(parents=True, exist_ok=True)
    write_atomic(root / "study.json", (study.model_dump_json(indent=1) + "\n").encode())
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
    # who sets the number of threads wants the numbers of another door to the last bit
    environment = {"OMP_NUM_THREADS": str(max(1, cores // jobs)), **os.environ}
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


def _job(study: StudyConfig, arm: Arm, seed: int, root: Path, model: Path | None) -> Job:
    params = run_params(study, arm, seed)
    if model is not None:
        params["train"]["base_model"] = str(model)
    directory = run_directory(root, arm.name, seed)
    steps = int(params["train"]["steps"])
    return Job(arm, seed, directory, params, root / "clips", targets_of(root, arm.plant), steps)


def _parent_runs(study: StudyConfig, root: Path, jobs: list[Job]) -> dict[str, str]:
    """An MLflow run for the study, one for each arm below it, and below these the trainings."""
    from geovr import tracking
    from geovr.tracking_runs import start_sweep

    experiment = str(jobs[0].params.get("experiment", "geovr"))
    top = start_sweep(experiment, f"study {study.name}")
    write_atomic(root / PARENT, f"{top}\n".encode())
    parents = {}
    for arm in dict.fromkeys(job.arm.name for job in jobs):
        parents[arm] = start_sweep(experiment, f"study {study.name}, {arm}")
        with tracking.reopen(parents[arm]) as run:
            run.set_tags({tracking.PARENT_TAG: top})
    return parents


def _run_all(
    jobs: list[Job], at_once: int, environment: dict[str, str], parents: dict[str, str], total: int
) -> None:
    stopping = threading.Event()
    running: list[Job] = []
    failed: dict[str, str] = {}

    def work(job: Job) -> None:
        running.append(job)
        run_job(job, environment | {"GEOVR_PARENT_RUN": parents[job.arm.name]}, stopping)

    done_before = total - sum(job.steps for job in jobs)
    with (
        ThreadPoolExecutor(at_once) as pool,
        progress("study", total, "steps", done=done_before) as bar,
        _stop_on_signal(stopping),
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
