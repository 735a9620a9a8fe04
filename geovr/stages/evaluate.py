"""evaluate: Checkpoint + the test questions of a ClipSet -> EvalReport.

Answers are kept raw in the store under evaluation/<key>; scoring reads them from there, so scores
can be made again without asking the model again.

details of the EvalReport: key, benchmark_digest, benchmark (name), revision, protocol,
protocol_digest, backend (its kind), coverage (answered, of), predictions_key, predictions_sha256,
headline, over_constant, mlflow_run_id.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from geovr.artifacts import Checkpoint, ClipSet, EvalReport, start_output
from geovr.config import StageConfig
from geovr.evaluation.asking import AskConfig, Plan, ensure_answers, plan
from geovr.evaluation.complete import check_complete
from geovr.evaluation.predictions import predictions_key, read
from geovr.launch_config import LaunchConfig
from geovr.storage import Store, sha256_bytes, write_atomic

if TYPE_CHECKING:
    from geovr.evaluation.report import Scores

log = logging.getLogger("geovr")


class EvaluateConfig(StageConfig, AskConfig):
    """How answers are made and scored."""

    resamples: int = Field(2000, gt=0, description="Of the bootstrap.")
    launch: LaunchConfig = LaunchConfig()


def evaluate(
    config: EvaluateConfig, *, clips: ClipSet, checkpoint: Checkpoint, output: Path
) -> EvalReport:
    """Answer the benchmark's questions, score the answers, and report.

    Raises:
        UserError: when the split has no question, or the clips are not what the protocol shows.
        GateRefused: when a question has no answer, or more than one.
    """
    from geovr import distributed

    asked = plan(config, clips, checkpoint)
    if distributed.rank() == 0:
        # what an earlier run left is not this run's, should this one be refused
        start_output(output)
    store = Store.open(config.store)
    with distributed.process_group():
        ensure_answers(asked, clips, checkpoint, store)
        if distributed.rank() == 0:
            _report(config, clips, checkpoint, asked, store, output)
        distributed.share_directory(output)
    return EvalReport.load(output)


def _report(
    config: EvaluateConfig,
    clips: ClipSet,
    checkpoint: Checkpoint,
    asked: Plan,
    store: Store,
    output: Path,
) -> None:
    import numpy as np

    from geovr import tracking
    from geovr.evaluation.coverage import questions_of
    from geovr.evaluation.report import make_scores, metrics, render_markdown
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
        published=questions_of(clips, config.split),
    )
    directory = output
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
            "benchmark": asked.header["benchmark"],
            "revision": asked.header["revision"],
            "protocol": asked.protocol.name,
            "protocol_digest": asked.protocol.digest,
            "backend": asked.backend.kind,
            "coverage": {"answered": scores.items, "of": scores.published},
            "predictions_key": predictions_key(key),
            "predictions_sha256": sha256_bytes(store.get(predictions_key(key))),
            "headline": scores.headline.score.mean,
            "over_constant": scores.headline.over_constant.mean,
            "mlflow_run_id": run_id,
        },
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


def load_scores(report: EvalReport) -> Scores:
    """The scores of a report."""
    from geovr.evaluation.report import Scores

    return Scores.model_validate_json((report.directory / "report.json").read_text())
