"""An evaluation in the tracker: a run of its own, beside the training's that keeps its metrics too.

The run is in the experiment of its benchmark and protocol, so that MLflow's own comparison puts
beside each other what may be compared. It is found again by its key: an evaluation that is tried
again goes on in the same run.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geovr import data_version, tracking
from geovr.artifacts import Checkpoint, ClipSet, git_sha
from geovr.config import digest
from geovr.model_registry import CHECKPOINT_TAG
from geovr.storage import Store
from geovr.tracking_runs import TRAINING_RUN_TAG

log = logging.getLogger("geovr")

EVALUATION_RUN_TAG = "geovr.evaluation_run"
PREDICTIONS_TAG = "geovr.predictions"


def experiment_of(experiment: str, benchmark: str, protocol: str) -> str:
    """The experiment of what was asked alike, such as geovr/eval/vsi-bench/official."""
    parts = [benchmark, protocol.removeprefix(f"{benchmark}/")]
    return "/".join([experiment, "eval", *(re.sub(r"[^\w.-]+", "_", part) for part in parts)])


def log_evaluation(
    experiment: str,
    *,
    checkpoint: Checkpoint,
    clips: ClipSet,
    store: Store,
    directory: Path,
    details: Mapping[str, Any],
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    most_mb: float,
) -> str:
    """Log an evaluation to its own run and to the training's.

    Args:
        experiment: that the training belongs to.
        checkpoint: that was asked.
        clips: that it was asked about.
        store: of the answers.
        directory: with report.json, table.md and, where it was measured, geometry.json.
        details: of the EvalReport.
        params: how it was asked and scored.
        metrics: as docs/metrics.md lists them.
        tags: of both runs.
        most_mb: a larger prediction file is named by its place only.

    Returns:
        the id of its own run.
    """
    protocol = str(details.get("protocol") or "flow")
    published = clips.manifest.details.get("benchmark") or {}
    benchmark = str(details.get("benchmark") or published.get("benchmark") or "own")
    training = str(checkpoint.manifest.details["mlflow_run_id"])
    told = {
        **tags,
        TRAINING_RUN_TAG: training,
        CHECKPOINT_TAG: checkpoint.digest,
        PREDICTIONS_TAG: store.uri_of(details["predictions_key"]),
        "geovr.benchmark": str(details["benchmark_digest"]),
        "geovr.protocol": protocol,
        **data_version.tags(data_version.of(clips)),
        "stage": "evaluate",
        "git_sha": git_sha(),
    }
    known = {
        "benchmark": benchmark,
        "benchmark_digest": details["benchmark_digest"],
        "revision": details.get("revision") or published.get("revision"),
        "protocol": protocol,
        "protocol_digest": details.get("protocol_digest"),
        "checkpoint": checkpoint.digest,
        "predictions_sha256": details["predictions_sha256"],
    }
    key = digest({"answers": details["key"], "params": dict(params)})[:24]
    name = f"eval-{checkpoint.digest[:8]}"
    place = experiment_of(experiment, benchmark, protocol)
    with tracking.run(place, name, key, {TRAINING_RUN_TAG: training}) as run:
        run.set_tags(told)
        run.log_params({**known, **params})
        _log(run, clips, directory, details, metrics)
        run.log_dataset("clips", clips.manifest.store, clips.digest, "evaluation", {})
        _log_predictions(run, store, details["predictions_key"], most_mb)
        own = run.run_id
    with tracking.reopen(training) as run:
        run.set_tags({**tags, EVALUATION_RUN_TAG: own})
        _log(run, clips, directory, details, metrics)
    return own


def _log(
    run: tracking.Run,
    clips: ClipSet,
    directory: Path,
    details: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> None:
    run.log_results(dict(metrics))
    for name in ("report.json", "table.md", "geometry.json"):
        if (directory / name).is_file():
            run.log_artifact(directory / name, "evaluation")
    digest_of_questions = str(details["benchmark_digest"])
    run.log_dataset("benchmark", clips.manifest.store, digest_of_questions, "evaluation", {})


def _log_predictions(run: tracking.Run, store: Store, key: str, most_mb: float) -> None:
    data = store.get(key)
    if len(data) > most_mb * 1e6:
        log.info(
            "evaluate: %s has %.3g MB, so MLflow is told its place only"
            " (evaluate.log_predictions_mb)",
            store.uri_of(key),
            len(data) / 1e6,
        )
        return
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        path = Path(scratch) / "predictions.jsonl"
        path.write_bytes(data)
        run.log_artifact(path, "evaluation")
