"""evaluate: Checkpoint + the test questions of a ClipSet -> EvalReport.

Answers are kept raw in the store under evaluation/<key>; scoring reads them from there, so scores
can be made again without asking the model again.

details of the EvalReport: key, benchmark_digest, predictions_key, predictions_sha256, headline,
over_constant, mlflow_run_id.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from geovr.artifacts import Checkpoint, ClipSet, EvalReport, start_output
from geovr.config import StageConfig, canonical_json, digest
from geovr.data.input import InputConfig
from geovr.errors import UserError
from geovr.evaluation.predictions import predictions_key, read_predictions
from geovr.launch_config import LaunchConfig
from geovr.storage import Store, sha256_bytes, write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from geovr.data.dataset import View
    from geovr.evaluation.report import Scores

log = logging.getLogger("geovr")

BASELINES: tuple[View, ...] = ("blank", "shuffled")


class EvaluateConfig(StageConfig):
    """How answers are made and scored."""

    split: str = Field("test", description="Split of the questions that are the benchmark.")
    numeric: Literal["auto", "greedy", "expected_score"] = Field(
        "auto",
        description="expected_score: the one-token number of highest expected score; auto: that"
        " for models trained on binned numbers, else greedy.",
    )
    input: InputConfig | None = Field(
        None, description="How clips are put before the model; null: as in training, any length."
    )
    blanked: bool = Field(True, description="Ask again with the video blanked, as a baseline.")
    shuffled: bool = Field(
        True, description="Ask again with the frames in a random order, as a baseline."
    )
    batch_rows: int = Field(16, gt=0, description="Clips in one forward pass.")
    resamples: int = Field(2000, gt=0, description="Of the bootstrap.")
    seed: int = Field(0, ge=0, description="Of the bootstrap.")
    launch: LaunchConfig = LaunchConfig()


def evaluate(
    config: EvaluateConfig, *, clips: ClipSet, checkpoint: Checkpoint, output: Path
) -> EvalReport:
    """Answer the benchmark's questions, score the answers, and report.

    Raises:
        UserError: when the split has no question.
    """
    from geovr import distributed

    test = clips.questions[clips.questions["split"] == config.split].reset_index(drop=True)
    if test.empty:
        raise UserError(
            f"evaluate.split: no question belongs to {config.split!r}; the ClipSet's splits are"
            f" {sorted(set(clips.questions['split']))}"
        )
    known = ["clip_id", "scene", "video_sha256", "object_sha256"]
    test = test.merge(clips.index[known], on="clip_id", how="left")
    numeric = _decoding(config, checkpoint)
    shown = _shown(config, checkpoint)
    benchmark = digest(
        test[["id", "clip_id", "kind", "question", "answer", "video_sha256"]].to_dict("records")
    )
    key = digest(
        {
            "checkpoint": checkpoint.digest,
            "benchmark": benchmark,
            # the benchmark is one and the same whichever frames of its videos are shown
            "frames": sorted(set(test["object_sha256"])),
            "input": shown.model_dump(mode="json"),
            "numeric": numeric,
            "blanked": config.blanked,
            "shuffled": config.shuffled,
            "batch_rows": config.batch_rows,
        }
    )[:24]
    store = Store.open(config.store)
    with distributed.process_group():
        _answer(config, clips, checkpoint, test, numeric, shown, store, key)
        if distributed.rank() == 0:
            _report(config, clips, checkpoint, test, numeric, store, key, benchmark, output)
        distributed.share_directory(output)
    return EvalReport.load(output)


def _decoding(
    config: EvaluateConfig, checkpoint: Checkpoint
) -> Literal["greedy", "expected_score"]:
    if config.numeric == "auto":
        binned = checkpoint.manifest.details.get("numeric_answers") == "binned"
        return "expected_score" if binned else "greedy"
    return config.numeric


def _shown(config: EvaluateConfig, checkpoint: Checkpoint) -> InputConfig:
    if config.input is not None:
        return config.input
    trained = InputConfig.model_validate(checkpoint.manifest.config["input"])
    return trained.model_copy(update={"max_tokens": None})


def _answer(
    config: EvaluateConfig,
    clips: ClipSet,
    checkpoint: Checkpoint,
    test: pd.DataFrame,
    numeric: Literal["greedy", "expected_score"],
    shown: InputConfig,
    store: Store,
    key: str,
) -> None:
    """Put the raw answers into the store, unless they are there."""
    from geovr import distributed
    from geovr.evaluation.answering import answer_into, remove_parts

    there = distributed.broadcast_object(store.exists(predictions_key(key)))
    if there:
        log.info("evaluate: answers are in the store already; scoring them")
        return
    details = checkpoint.manifest.details
    views: list[View] = ["video"]
    views += ["blank"] if config.blanked else []
    views += ["shuffled"] if config.shuffled else []
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        found = answer_into(
            store,
            f"evaluation/{key}",
            checkpoint.store.get_directory(details["prefix"], details["files"], Path(scratch)),
            clips,
            test,
            views=views,
            numeric=numeric,
            batch_rows=config.batch_rows,
            shown=shown,
        )
    if distributed.rank() != 0:
        return
    lines = []
    for number, row in enumerate(test.itertuples(index=False)):
        answer = found["video"][number]
        others = {view: found[view][number].text if view in found else None for view in BASELINES}
        if answer.id != row.id:
            raise RuntimeError(f"evaluate: the answer to {row.id} carries the id {answer.id}")
        lines.append(
            canonical_json(
                {
                    "id": row.id,
                    "clip_id": row.clip_id,
                    "scene": row.scene,
                    "kind": row.kind,
                    "question_sha256": sha256_bytes(row.question.encode()),
                    "video_sha256": row.video_sha256,
                    "text": answer.text,
                    "blanked_text": others["blank"],
                    "shuffled_text": others["shuffled"],
                    "answer": row.answer,
                    "nll": answer.nll,
                    "decoding": numeric,
                    "checkpoint": checkpoint.digest,
                }
            )
        )
    store.put(predictions_key(key), ("\n".join(lines) + "\n").encode())
    remove_parts(store, f"evaluation/{key}")


def _complete(predictions: list[dict[str, Any]], test: pd.DataFrame) -> None:
    """Every question answered exactly once.

    Raises:
        UserError: naming ids that are missing or there twice.
    """
    found = [prediction["id"] for prediction in predictions]
    if found != list(test["id"]):
        missing = sorted(set(test["id"]) - set(found))
        twice = sorted({name for name in found if found.count(name) > 1})
        raise UserError(
            f"evaluate: {len(found)} answers to {len(test)} questions; missing: {missing[:5]},"
            f" twice: {twice[:5]}; delete the predictions and run evaluate again"
        )


def _report(
    config: EvaluateConfig,
    clips: ClipSet,
    checkpoint: Checkpoint,
    test: pd.DataFrame,
    numeric: str,
    store: Store,
    key: str,
    benchmark: str,
    output: Path,
) -> None:
    import numpy as np

    from geovr import tracking
    from geovr.evaluation.report import make_scores, metrics, render_markdown
    from geovr.report.make import report_tags

    predictions = read_predictions(store, key)
    _complete(predictions, test)
    answers = {"model": [p["text"] for p in predictions]}
    if config.blanked:
        answers["blanked"] = [p["blanked_text"] for p in predictions]
    if config.shuffled:
        answers["shuffled"] = [p["shuffled_text"] for p in predictions]
    scores = make_scores(
        clips.questions[clips.questions["split"] == "train"],
        test,
        np.asarray(test["scene"]),
        answers,
        np.asarray([p["nll"] for p in predictions]),
        benchmark_digest=benchmark,
        binned=numeric == "expected_score",
        resamples=config.resamples,
        seed=config.seed,
    )
    directory = start_output(output)
    write_atomic(directory / "report.json", (scores.model_dump_json(indent=2) + "\n").encode())
    write_atomic(directory / "table.md", render_markdown(scores).encode())
    run_id = checkpoint.manifest.details["mlflow_run_id"]
    content = json.loads(scores.model_dump_json())
    with tracking.reopen(run_id) as run:
        run.set_tags(report_tags(store.uri, "EvalReport", EvalReport.digest_of(content)))
        run.log_metrics(metrics(scores))
        run.log_artifact(directory / "report.json", "evaluation")
        run.log_artifact(directory / "table.md", "evaluation")
        run.log_dataset("benchmark", clips.manifest.store, benchmark, "evaluation", {})
    EvalReport.commit(
        directory,
        inputs={"clips": clips.digest, "checkpoint": checkpoint.digest},
        config=config.model_dump(mode="json"),
        counts={"questions": len(test), "answers": len(predictions), "unparsed": scores.unparsed},
        store=store.uri,
        content=content,
        details={
            "key": key,
            "benchmark_digest": benchmark,
            "predictions_key": predictions_key(key),
            "predictions_sha256": sha256_bytes(store.get(predictions_key(key))),
            "headline": scores.headline.score.mean,
            "over_constant": scores.headline.over_constant.mean,
            "mlflow_run_id": run_id,
        },
    )
    head = scores.headline
    log.info(
        "evaluate: %d questions, %d unparsed; mean %.1f, best constant %.1f, %s",
        len(test),
        scores.unparsed,
        100 * head.score.mean,
        100 * head.best_constant,
        head.verdict,
    )


def load_scores(report: EvalReport) -> Scores:
    """The scores of a report."""
    from geovr.evaluation.report import Scores

    return Scores.model_validate_json((report.directory / "report.json").read_text())
