"""evaluate: Checkpoint + the test questions of a ClipSet -> EvalReport.

Answers are kept raw in the store under evaluation/<key>; scoring reads them from there, so scores
can be made again without asking the model again. With ground truth, the numbers of the heads'
depth, camera path and scale are kept beside them, and stand in the report's geometry.json.

details of the EvalReport: key, benchmark_digest, benchmark (name), revision, protocol,
protocol_digest, scoring, backend (its kind), coverage (answered, of), predictions_key,
predictions_sha256, headline, over_constant, mlflow_run_id (the training's run), evaluation_run_id
(its own; see evaluation/tracked.py), dvc (of the clips).
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from geovr import data_version
from geovr.artifacts import Checkpoint, ClipSet, EvalReport, start_output
from geovr.config import StageConfig
from geovr.evaluation.asking import AskConfig, Plan, ensure_answers, plan
from geovr.evaluation.comparison import AUTO, scoring_of
from geovr.evaluation.complete import check_complete
from geovr.evaluation.coverage import check_whole
from geovr.evaluation.geometry.config import GeometryConfig
from geovr.evaluation.predictions import predictions_key, read
from geovr.launch_config import LaunchConfig
from geovr.storage import Store, sha256_bytes, write_atomic

if TYPE_CHECKING:
    from geovr.evaluation.geometry.report import GeometryReport
    from geovr.evaluation.report import Scores

log = logging.getLogger("geovr")


class EvaluateConfig(StageConfig, AskConfig):
    """How answers are made and scored, and whose geometry is measured."""

    geometry: GeometryConfig = GeometryConfig()
    scoring: str = Field(
        AUTO,
        description="auto: as the publisher of the benchmark scores (profile official), and by the"
        " flow's own rule where it is none; flow, or a profile (docs/scoring.md).",
    )
    partial: bool = Field(
        False,
        description="Evaluate a published benchmark though some of its questions can't be asked.",
    )
    resamples: int = Field(2000, gt=0, description="Of the bootstrap.")
    log_predictions_mb: float = Field(
        64.0,
        ge=0,
        description="Prediction files up to this size (10^6 bytes) are MLflow artifacts; of larger"
        " ones the run tells the place.",
    )
    launch: LaunchConfig = LaunchConfig()


def evaluate(
    config: EvaluateConfig, *, clips: ClipSet, checkpoint: Checkpoint, output: Path
) -> EvalReport:
    """Answer the benchmark's questions, score the answers, measure what the heads say, and report.

    Raises:
        UserError: when the split has no question, or the clips are not what the protocol shows.
        GateRefused: when a question has no answer, or more than one, or a published benchmark is
            not whole.
    """
    from geovr import distributed
    from geovr.evaluation.geometry.run import measure, prepare

    if not config.partial:
        check_whole(clips, config.split)
    asked = plan(config, clips, checkpoint)
    scoring_of(asked.header["benchmark"], config.scoring)  # before a question is asked
    if distributed.rank() == 0:
        # what an earlier run left is not this run's, should this one be refused
        start_output(output)
    store = Store.open(config.store)
    with distributed.process_group():
        work = prepare(config.geometry, asked, clips, checkpoint)
        ensure_answers(asked, clips, checkpoint, store)
        geometry = measure(
            work, asked, clips, checkpoint, store, resamples=config.resamples, seed=config.seed
        )
        if distributed.rank() == 0:
            _report(config, clips, checkpoint, asked, store, output, geometry)
        distributed.share_directory(output)
    return EvalReport.load(output)


def _report(
    config: EvaluateConfig,
    clips: ClipSet,
    checkpoint: Checkpoint,
    asked: Plan,
    store: Store,
    output: Path,
    geometry: GeometryReport | None,
) -> None:
    import numpy as np

    from geovr.evaluation.geometry import report as geometry_report
    from geovr.evaluation.report import make_scores, metrics, render_markdown
    from geovr.evaluation.tracked import log_evaluation
    from geovr.report.make import report_tags

    test, key, benchmark = asked.test, asked.key, asked.benchmark_digest
    found = read(store, key)
    check_complete(found, list(test["id"]), asked.header, store.uri_of(predictions_key(key)))
    predictions = found.rows
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
        np.asarray([p["nll"] for p in predictions], dtype=float),
        benchmark_digest=benchmark,
        binned=asked.numeric == "expected_score",
        resamples=config.resamples,
        seed=config.seed,
        published=asked.header["published"],
        scoring=scoring_of(asked.header["benchmark"], config.scoring),
        extra=[p["extra"] for p in predictions],
    )
    directory = output
    write_atomic(directory / "report.json", (scores.model_dump_json(indent=2) + "\n").encode())
    write_atomic(directory / "table.md", render_markdown(scores).encode())
    content = json.loads(scores.model_dump_json()) | geometry_report.write(geometry, directory)
    details = {
        "key": key,
        "benchmark_digest": benchmark,
        "benchmark": asked.header["benchmark"],
        "revision": asked.header["revision"],
        "protocol": asked.protocol.name,
        "protocol_digest": asked.protocol.digest,
        "scoring": scores.scoring,
        "backend": asked.backend.kind,
        "coverage": {"answered": scores.items, "of": scores.published},
        "predictions_key": predictions_key(key),
        "predictions_sha256": sha256_bytes(store.get(predictions_key(key))),
        "headline": scores.headline.score.mean,
        "over_constant": scores.headline.over_constant.mean,
        "mlflow_run_id": checkpoint.manifest.details["mlflow_run_id"],
        "dvc": data_version.of(clips),
    }
    details["evaluation_run_id"] = log_evaluation(
        config.experiment,
        checkpoint=checkpoint,
        clips=clips,
        store=store,
        directory=directory,
        details=details,
        params=_params(config, asked),
        metrics=metrics(scores) | geometry_report.metrics(geometry),
        tags=report_tags(store.uri, "EvalReport", EvalReport.digest_of(content)),
        most_mb=config.log_predictions_mb,
    )
    EvalReport.commit(
        directory,
        inputs={"clips": clips.digest, "checkpoint": checkpoint.digest},
        config=config.model_dump(mode="json"),
        counts={"questions": len(test), "answers": len(predictions), "unparsed": scores.unparsed},
        store=store.uri,
        content=content,
        details=details,
    )
    head = scores.headline
    log.info(
        "evaluate: %s, %d unparsed; mean %.1f, best constant %.1f, %s",
        scores.coverage_told,
        scores.unparsed,
        100 * head.score.mean,
        100 * head.best_constant,
        head.verdict,
    )


def _params(config: EvaluateConfig, asked: Plan) -> dict[str, Any]:
    """How answers were made and scored, flat."""
    told: dict[str, Any] = {"decoding": asked.numeric}
    told |= {f"input.{name}": value for name, value in asked.shown.model_dump(mode="json").items()}
    left_out = {"store", "experiment", "launch", "input", "log_predictions_mb", "protocol"}
    return told | config.model_dump(mode="json", exclude=left_out)


def load_scores(report: EvalReport) -> Scores:
    """The scores of a report."""
    from geovr.evaluation.report import Scores

    return Scores.model_validate_json((report.directory / "report.json").read_text())
