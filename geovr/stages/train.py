"""train: ClipSet + TargetSet + base model -> Checkpoint.

Everything that must outlive a failure lies in the store under training/<key>, where the key hashes
the inputs and the config: a rerun goes on from the newest checkpoint, and a rerun of finished
training does nothing.

details of the Checkpoint: key, prefix and files of the exported stock Qwen3-VL directory, steps,
final_loss, mlflow_run_id, base_model_digest, teacher, planted (the fault that a study put into the
targets, else null), lineage, dvc, heads (key in the store), heads_sha256 and resumed_from (key and
step of the training it went on from) and trained_with (commit of the code that trained, which for
a training that was found done is another than the manifest's).
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovr.artifacts import Checkpoint, ClipSet, TargetSet, git_sha, start_output
from geovr.config import digest
from geovr.errors import Interrupted, UserError
from geovr.lineage import Part, base_model, model_card, planted, teacher
from geovr.storage import Store, sha256_file, write_atomic
from geovr.training.config import NOT_IN_KEY, TrainConfig
from geovr.training.export import Finished, read_finished
from geovr.training.record import prefix_of, record_start, resumed_from

if TYPE_CHECKING:
    from geovr.tracking_training import TrainingRun

log = logging.getLogger("geovr")

__all__ = ["TrainConfig", "train", "training_key"]


def training_key(config: TrainConfig, inputs: dict[str, str]) -> str:
    """Hash of all that decides the trained weights, defaults spelled out."""
    values = config.model_dump(mode="json", exclude=NOT_IN_KEY | {"base_model"})
    return digest({"config": values, "inputs": inputs})[:24]


def train(config: TrainConfig, *, clips: ClipSet, targets: TargetSet, output: Path) -> Checkpoint:
    """Train on the clips of the train split and export a stock Qwen3-VL.

    Raises:
        UserError: for a missing base model or a licence that its card contradicts, clips without
            targets, a batch that ranks can't share evenly, or a start that differs from the
            recorded one.
        Interrupted: when stopped by a signal; the same call goes on.
    """
    from geovr import distributed, tracking
    from geovr.tracking_training import TrainingRun
    from geovr.training.fit import fit

    base = Path(config.base_model)
    inputs = {
        "clips": clips.digest,
        "targets": targets.digest,
        "base_model": directory_digest(base),
    }
    # a licence that contradicts another is told before any work
    lineage = _lineage(config, targets)
    parent = tracking.parent_run(config.parent_run)
    key = training_key(config, inputs)
    store = Store.open(config.store)
    prefix = prefix_of(key)
    tags = {"stage": "train", "git_sha": git_sha()}
    with distributed.process_group(2 * config.step_timeout_s):
        lineage = _record(store, key, config, inputs, lineage)
        run = TrainingRun(
            config.experiment,
            f"train-{key[:8]}",
            key,
            tags,
            lambda opened: _log_inputs(opened, config, clips, targets, parent),
        )
        status = "FAILED"
        try:
            finished = read_finished(store, prefix)
            if finished is None:
                finished = fit(
                    config,
                    clips,
                    targets,
                    store,
                    prefix,
                    run.log_metrics,
                    card=model_card(lineage),
                    base_model_digest=inputs["base_model"],
                )
            else:
                log.info("train: %s is trained already; nothing to do", store.uri_of(prefix))
                # for a run that was deleted meanwhile; the server is sent what it lacks
                _log_curve(run, store.get(f"{prefix}/curve.jsonl", finished.curve_sha256))
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit, Interrupted):
            status = "KILLED"
            raise
        finally:
            run_id = _close(run, status, config.tracking_patience_s)
        run_id = distributed.broadcast_object(run_id)
        if distributed.rank() == 0:
            _write(config, clips, targets, output, inputs, key, prefix, finished, run_id, lineage)
        distributed.share_directory(output)
    return Checkpoint.load(output)


def _record(
    store: Store, key: str, config: TrainConfig, inputs: dict[str, str], lineage: list[Part]
) -> list[Part]:
    """The lineage as rank 0 records it; a refusal is every rank's."""
    from geovr import distributed

    refusal = ""
    if distributed.rank() == 0:
        try:
            lineage = record_start(store, key, config, inputs, lineage)
        except UserError as error:
            refusal = str(error)
    refusal, lineage = distributed.broadcast_object((refusal, lineage))
    if refusal:
        raise UserError(refusal)
    return lineage


def _log_curve(run: TrainingRun, lines: bytes) -> None:
    for line in lines.splitlines():
        metrics = json.loads(line)
        run.log_metrics({k: v for k, v in metrics.items() if k != "step"}, int(metrics["step"]))


def _close(run: TrainingRun, status: str, patience_s: float) -> str:
    """End the tracked run; after a failure its own story matters more than the metrics'."""
    if status == "FINISHED":
        return run.close(status, patience_s)
    try:
        return run.close(status, min(patience_s, 5.0))
    except Interrupted as late:
        log.warning("%s", late)
        return ""


def directory_digest(directory: Path) -> str:
    """sha256 over the names and contents of a model directory's files, but its README.md.

    Raises:
        UserError: when there is no such directory.
    """
    if not directory.is_dir():
        raise UserError(
            f"train.base_model: {directory}: no such directory; `geovr init-model --preset"
            f" study --output {directory}` makes a tiny model"
        )
    files = {
        path.relative_to(directory).as_posix(): sha256_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "README.md"
    }
    return digest(files)


def _lineage(config: TrainConfig, targets: TargetSet) -> list[Part]:
    """What the model is made from: a teacher counts only where the model learns from it."""
    parts = base_model(Path(config.base_model), config.base_model_license)
    if config.objectives.any:
        told = targets.manifest.details
        parts += teacher(told.get("teacher")) + planted(told.get("planted"))
    return list(dict.fromkeys(parts))


def _log_inputs(
    run: Any, config: TrainConfig, clips: ClipSet, targets: TargetSet, parent: str | None
) -> None:
    from geovr import data_version, tracking

    version = data_version.of(clips)
    run.set_tags(data_version.tags(version))
    if parent is not None:
        # also of a run that was there before: a sweep may come by a training that is done
        run.set_tags({tracking.PARENT_TAG: parent})
    dump: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json", exclude={"launch"}).items():
        nested = value if isinstance(value, dict) else None
        dump |= {f"{name}.{k}": v for k, v in nested.items()} if nested else {name: value}
    run.log_params(dump)
    for name, artifact, tags in (
        ("clips", clips, {f"dvc_{k}": str(v) for k, v in (version or {}).items()}),
        ("targets", targets, {"teacher": json.dumps(targets.manifest.details.get("teacher"))}),
    ):
        run.log_dataset(name, artifact.manifest.store, artifact.digest, "training", tags)


def _write(
    config: TrainConfig,
    clips: ClipSet,
    targets: TargetSet,
    output: Path,
    inputs: dict[str, str],
    key: str,
    prefix: str,
    finished: Finished,
    run_id: str,
    lineage: list[Part],
) -> None:
    store = Store.open(config.store)
    directory = start_output(output)
    curve = store.get(f"{prefix}/curve.jsonl", finished.curve_sha256)
    write_atomic(directory / "curve.jsonl", curve)
    Checkpoint.commit(
        directory,
        inputs=inputs,
        config=config.model_dump(mode="json"),
        counts={
            "steps": finished.steps,
            "clips": int((clips.index["split"] == "train").sum()),
            "clips_shortened": finished.clips_shortened,
        },
        store=store.uri,
        content={"key": key, "files": finished.files, "heads": finished.heads_sha256},
        details={
            "key": key,
            "prefix": f"{prefix}/export",
            "files": finished.files,
            "heads": f"{prefix}/heads.safetensors",
            "heads_sha256": finished.heads_sha256,
            "steps": finished.steps,
            "final_loss": finished.final_loss,
            "mlflow_run_id": run_id,
            "base_model_digest": inputs["base_model"],
            "teacher": targets.manifest.details.get("teacher"),
            "planted": targets.manifest.details.get("planted"),
            "depth_size": targets.manifest.details.get("depth_size"),
            "feature_grid": targets.manifest.details.get("feature_grid"),
            "lineage": [part.model_dump() for part in lineage],
            "dvc": clips.manifest.details.get("dvc"),
            "numeric_answers": config.numeric_answers,
            "trained_with": finished.git_sha,
            "resumed_from": resumed_from(store, prefix),
        },
    )
    log.info(
        "train: %d steps, final loss %.4f, checkpoint %s",
        finished.steps,
        finished.final_loss,
        store.uri_of(f"{prefix}/export"),
    )
