"""A study in MLflow: the runs that its trainings are nested in, and its headline numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geovr import tracking
from geovr.artifacts import Checkpoint
from geovr.errors import UserError
from geovr.evaluation.comparison import MEAN
from geovr.storage import write_atomic
from geovr.study.config import StudyConfig
from geovr.study.job import Job
from geovr.study.results import PARENT
from geovr.study.summary import VIEWS, Summary
from geovr.tracking_runs import start_sweep


def metrics(summary: Summary) -> dict[str, float]:
    """Headline numbers for a tracker, under the names that docs/metrics.md promises."""
    flat = {"study/best_constant": summary.best_constant[MEAN]}
    for arm in summary.arms:
        line, name = arm.lines[MEAN], f"study/{arm.name}"
        flat[f"{name}/mean"] = line.score.mean
        if arm.train_seconds is not None:
            flat[f"{name}/train_seconds"] = arm.train_seconds.mean
        flat[f"{name}/seeds"] = float(len(arm.seeds))
        for what, value in (("nll", line.nll), *((v, getattr(line, v)) for v in VIEWS)):
            if value is not None:
                flat[f"{name}/{what}"] = value.mean
        if line.score.sd is not None:
            flat[f"{name}/mean_sd"] = line.score.sd
        for what, gap in (("gain", line.gap), ("nll_gain", line.nll_gap)):
            if gap is not None:
                flat[f"{name}/{what}"] = gap.interval.mean
                flat[f"{name}/{what}_low"] = gap.interval.low
                flat[f"{name}/{what}_high"] = gap.interval.high
    return flat


class Parents:
    """An MLflow run for a study, one for each arm below it, and below these the trainings.

    A training that several studies share is shown below the newest; each arm's run keeps the ids
    of its own, by seed, as tags.
    """

    def __init__(self, study: StudyConfig, root: Path, jobs: Sequence[Job]) -> None:
        experiment = str(jobs[0].params.get("experiment", "geovr"))
        # a study that is made in another directory is another one
        top = start_sweep(experiment, f"study {study.name}", str(root))
        write_atomic(root / PARENT, f"{top}\n".encode())
        self._runs: dict[str, str] = {}
        for arm in dict.fromkeys(job.arm.name for job in jobs):
            self._runs[arm] = start_sweep(experiment, f"study {study.name}, {arm}", str(root))
            with tracking.reopen(self._runs[arm]) as run:
                run.set_tags({tracking.PARENT_TAG: top})

    def of(self, job: Job) -> str:
        """The id of its arm's run."""
        return self._runs[job.arm.name]

    def finished(self, job: Job) -> None:
        """Note the training of a run that is done."""
        details = Checkpoint.load(job.directory / "checkpoint").manifest.details
        with tracking.reopen(self.of(job)) as run:
            run.set_tags({f"geovr.seed_{job.seed}": details["mlflow_run_id"]})


def parent_of(directory: Path) -> str:
    """The MLflow run above a study's runs.

    Raises:
        UserError: when the study has none.
    """
    path = directory / PARENT
    if not path.is_file():
        raise UserError(
            f"{path}: missing, so there is no MLflow run to log to; leave out --log, or let"
            " `geovr study run` go on, which makes it"
        )
    run_id = path.read_text().strip()
    tracking.run_of(run_id)  # or the error names the server
    return run_id


def log_study(run_id: str, files: Sequence[Path], numbers: dict[str, float]) -> None:
    """Put a report's files, under `study`, and numbers on an MLflow run.

    Args:
        run_id: of the run, which exists.
        files: that the report wrote.
        numbers: see metrics().
    """
    with tracking.reopen(run_id) as run:
        run.log_results(numbers)
        for path in files:
            run.log_artifact(path, "study")
