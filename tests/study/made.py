"""Studies made up for tests: directories as the stages leave them, answers of known quality."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geovr.artifacts import Checkpoint, EvalReport, start_output
from geovr.evaluation.predictions import predictions_key
from geovr.evaluation.report import make_scores
from geovr.storage import Store
from geovr.study.config import StudyConfig
from geovr.study.results import run_directory

KINDS = ("turn", "path_length", "object_counting", "dominant_colour")
OPTIONS = ["A. left", "B. right", "C. back", "D. not at all"]
CHOICES = ("turn", "dominant_colour")


def questions(scenes: int) -> list[dict[str, Any]]:
    """One of each kind about each scene; choices have the answer A to D, numbers 1 to 9."""
    random = np.random.default_rng(7)
    rows = []
    for scene in range(scenes):
        for kind in KINDS:
            choice = kind in CHOICES
            answer = "ABCD"[random.integers(4)] if choice else str(random.integers(1, 10))
            rows.append(
                {
                    "id": str(len(rows)), "clip_id": f"rooms/{scene}", "scene": f"scene-{scene}",
                    "kind": kind, "question": f"What of {kind}?", "answer": answer, "extra": {},
                    "options": OPTIONS if choice else None, "decoding": "expected_score",
                }
            )  # fmt: skip
    return rows


def answered(
    rows: Sequence[Mapping[str, Any]],
    shares: Mapping[str, float],
    seed: int,
    views: Sequence[str] = ("blanked", "shuffled"),
) -> list[dict[str, Any]]:
    """Answers of which a share by kind are right; the wrong ones score nothing.

    Args:
        rows: questions.
        shares: by kind; of others 0.5.
        seed: of the luck.
        views: that were asked too; all wrong when blanked, as the video's when shuffled.
    """
    random = np.random.default_rng(seed)
    told = []
    for row in rows:
        right = random.random() < shares.get(row["kind"], 0.5)
        text = row["answer"] if right else "nothing"
        told.append(
            {
                **row, "text": text, "nll": float(random.normal(1.0 if right else 2.0, 0.1)),
                "blanked_text": "nothing" if "blanked" in views else None,
                "shuffled_text": text if "shuffled" in views else None,
            }
        )  # fmt: skip
    return told


def run_key(arm: str, seed: int) -> str:
    """What a run was made from."""
    return f"all of {arm} {seed}"


def write_run(
    root: Path,
    arm: str,
    seed: int,
    rows: Sequence[Mapping[str, Any]],
    *,
    terms: Sequence[str] = ("text",),
    steps: int = 40,
    scoring: str = "flow",
    commit: str = "c" * 40,
) -> None:
    """A run that is done: checkpoint, evaluation and done.json, its answers in the store."""
    directory, store = run_directory(root, arm, seed), Store.open(str(root / "store"))
    checkpoint = start_output(directory / "checkpoint")
    curve = [
        {"step": step, **{f"loss/{term}": 2 + seed / 10 + 5 / (1 + step) for term in terms}}
        for step in range(steps)
    ]
    lines = "".join(json.dumps(point) + "\n" for point in curve)
    (checkpoint / "curve.jsonl").write_text(lines)
    common: dict[str, Any] = {"inputs": {}, "config": {}, "store": store.uri}
    Checkpoint.commit(
        checkpoint,
        counts={"steps": steps},
        content=[arm, seed],
        details={"mlflow_run_id": "f" * 32, "trained_with": commit},
        **common,
    )
    key = f"{arm}-{seed}"
    store.put(predictions_key(key), "".join(json.dumps(row) + "\n" for row in rows).encode())
    evaluation = start_output(directory / "evaluation")
    test = pd.DataFrame(list(rows))
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": list(test["text"])},
        np.asarray(test["nll"], dtype=float), benchmark_digest="0", binned=True, resamples=10,
        seed=0,
    ).model_copy(update={"scoring": scoring})  # fmt: skip
    (evaluation / "report.json").write_text(scores.model_dump_json())
    EvalReport.commit(
        evaluation, counts={"questions": len(rows)}, content=key, details={"key": key}, **common
    )
    done = {"key": run_key(arm, seed), "seconds": {"train": 100.0 + seed, "evaluate": 10.0}}
    (directory / "done.json").write_text(json.dumps(done))


def write_config(root: Path, arms: Sequence[str], seeds: Sequence[int]) -> StudyConfig:
    """study.json of arms of which the first is the reference; an arm `planted` has a fault."""
    study = StudyConfig.model_validate(
        {
            "name": "made", "about": "Does it <help>?", "base": "base.yaml", "seeds": seeds,
            "reference": arms[0],
            "arms": [
                {
                    "name": name, "label": f"{name} & co", "set": {"train.steps": 40},
                    "plant": "noise" if name == "planted" else None,
                }
                for name in arms
            ],
        }
    )  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    (root / "study.json").write_text(study.model_dump_json())
    keys = {f"{arm}/{seed}": run_key(arm, seed) for arm in arms for seed in seeds}
    (root / "keys.json").write_text(json.dumps(keys))
    return study


def write_study(
    root: Path,
    shares: Mapping[str, Mapping[str, float]],
    seeds: Sequence[int] = (1, 2, 3),
    scenes: int = 30,
) -> StudyConfig:
    """A whole study: for each arm the shares of right answers by kind."""
    study = write_config(root, list(shares), seeds)
    rows = questions(scenes)
    for place, (arm, own) in enumerate(shares.items()):
        for seed in seeds:
            terms = ("text",) if place == 0 else ("text", "depth")
            write_run(root, arm, seed, answered(rows, own, 100 * place + seed), terms=terms)
    return study
