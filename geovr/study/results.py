"""What a study's runs left behind: answers, losses and times, by arm and seed.

A study's directory holds study.json (its config), keys.json (what its runs are made from now) and
runs/<arm>/<seed>/, in which a run keeps params.yaml, checkpoint/ and evaluation/ as the stages
wrote them, and done.json once both stand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geovr.artifacts import Checkpoint, EvalReport
from geovr.config import validate
from geovr.errors import UserError
from geovr.evaluation.predictions import predictions_key, read
from geovr.evaluation.report import Scores
from geovr.study.config import StudyConfig

STUDY_ROOT = Path("artifacts/study")
"""Where studies lie unless told otherwise, each under its name."""
KEYS = "keys.json"
"""File of a study's directory: of each run, `arm/seed`, a digest of what it is to be made from."""
PARENT = "parent_run.txt"
"""File of a study's directory that holds the id of the MLflow run above its runs."""


@dataclass(frozen=True)
class RunResult:
    """One arm with one seed.

    Attributes:
        arm: its name.
        seed: of the run.
        answers: rows as a prediction file has them (see evaluation/predictions.py).
        curve: metrics of each step (`step`, `loss/text`, ...), as training logs them.
        seconds: of the stages `train` and `evaluate`; without what was trained before.
        details: of the Checkpoint.
        scores: report.json of the evaluation, with the baselines that training questions taught.
    """

    arm: str
    seed: int
    answers: list[dict[str, Any]]
    curve: list[dict[str, float]]
    seconds: dict[str, float]
    details: dict[str, Any]
    scores: Scores


@dataclass(frozen=True)
class StudyResults:
    """All runs of a study that are done, in the order of arms and seeds; others are missing.

    Attributes:
        study: its config.
        runs: that are done.
        stale: arms and seeds of runs that were made with other parameters, clips or targets; they
            are missing too.
    """

    study: StudyConfig
    runs: tuple[RunResult, ...]
    stale: tuple[tuple[str, int], ...] = ()

    @property
    def missing(self) -> list[tuple[str, int]]:
        """Arms and seeds that are not done."""
        done = {(run.arm, run.seed) for run in self.runs}
        wanted = [(arm.name, seed) for arm in self.study.arms for seed in self.study.seeds]
        return [pair for pair in wanted if pair not in done]

    def of(self, arm: str) -> list[RunResult]:
        """The runs of an arm."""
        return [run for run in self.runs if run.arm == arm]


def run_directory(root: Path, arm: str, seed: int) -> Path:
    """Where a run of a study lies."""
    return root / "runs" / arm / str(seed)


def done_key(directory: Path) -> str | None:
    """What a run that is done was made from; None for one that isn't."""
    path = directory / "done.json"
    if not path.is_file():
        return None
    key: str = json.loads(path.read_text())["key"]
    return key


def stands(directory: Path) -> bool:
    """Whether a run's checkpoint and evaluation are there, its answers in the store too."""
    try:
        Checkpoint.load(directory / "checkpoint")
        report = EvalReport.load(directory / "evaluation")
    except UserError:  # gone, or never made
        return False
    return report.store.exists(predictions_key(report.manifest.details["key"]))


def find_study(name: str) -> Path:
    """A study's directory by its path, or below artifacts/study by its name.

    Raises:
        UserError: when it is neither.
    """
    place = STUDY_ROOT / name
    for root in (Path(name), place):
        if root.is_dir():
            return root
    raise UserError(
        f"{name}: no directory, and none is at {place}; `geovr study run` makes one, or name the"
        " directory that it wrote"
    )


def load_results(root: Path, reference: str | None = None) -> StudyResults:
    """Read a study's directory.

    Args:
        root: the directory.
        reference: arm to compare with; None: the study's own.

    Raises:
        UserError: when it is none, no run is done, or it has no such arm.
        StoreError: when the store lacks a run's answers.
    """
    path = root / "study.json"
    if not path.is_file():
        raise UserError(f"{root}: no study.json, so no study; `geovr study run` makes one")
    values = json.loads(path.read_text())
    if reference is not None:
        values["reference"] = reference
    study = validate(StudyConfig, values, source=str(path))
    keys = _keys(root)
    runs, stale = [], []
    for arm in study.arms:
        for seed in study.seeds:
            directory = run_directory(root, arm.name, seed)
            key = done_key(directory)
            if key is None:
                continue
            if key == keys.get(f"{arm.name}/{seed}"):
                runs.append(_load(directory, arm.name, seed))
            else:
                stale.append((arm.name, seed))
    if not runs:
        what = "all runs were made with other parameters" if stale else "no run is done yet"
        raise UserError(f"{root}: {what}; `geovr study run` goes on")
    return StudyResults(study, tuple(runs), tuple(stale))


def _keys(root: Path) -> dict[str, str]:
    path = root / KEYS
    if not path.is_file():
        raise UserError(
            f"{path}: missing, so there is no telling which runs are this study's; `geovr study"
            " run` writes it"
        )
    keys: dict[str, str] = json.loads(path.read_text())
    return keys


def _load(directory: Path, arm: str, seed: int) -> RunResult:
    done = json.loads((directory / "done.json").read_text())
    checkpoint = Checkpoint.load(directory / "checkpoint")
    report = EvalReport.load(directory / "evaluation")
    lines = (checkpoint.directory / "curve.jsonl").read_text().splitlines()
    return RunResult(
        arm=arm,
        seed=seed,
        answers=read(report.store, report.manifest.details["key"]).rows,
        curve=[json.loads(line) for line in lines],
        seconds=done["seconds"],
        details=checkpoint.manifest.details,
        scores=Scores.model_validate_json((report.directory / "report.json").read_text()),
    )
