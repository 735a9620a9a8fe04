"""train: ClipSet + TargetSet + base model -> Checkpoint.

Everything that must outlive a failure lies in the store under training/<key>, where the key hashes
the inputs and the config: a rerun goes on from the newest checkpoint, and a rerun of finished
training does nothing.

details of the Checkpoint: key, prefix and files of the exported stock Qwen3-VL directory, steps,
final_loss, mlflow_run_id, base_model_digest, teacher, lineage, dvc, objectives, heads (uri).
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from geovr.artifacts import Checkpoint, ClipSet, TargetSet, git_sha, start_output
from geovr.config import Config, LaunchConfig, StageConfig, canonical_json, digest
from geovr.data.input import InputConfig
from geovr.errors import Interrupted, UserError
from geovr.lineage import Part, base_model, model_card, teacher
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.storage import Store, sha256_file, write_atomic
from geovr.training.config import OptimConfig

if TYPE_CHECKING:
    from geovr.model.geovr import GeoVR
    from geovr.tracking import TrainingRun

log = logging.getLogger("geovr")

NOT_IN_KEY = {
    "store", "experiment", "launch", "checkpoint_every", "keep_checkpoints", "cache_mb",
    "tracking_patience_s", "base_model_license",
}  # fmt: skip
"""Fields that decide where and how, not what."""


class TrainConfig(StageConfig):
    """What is trained, on what, how long."""

    base_model: str = Field(..., description="Directory of a Qwen3-VL model.")
    base_model_license: str | None = Field(
        None, description="Its licence, such as apache-2.0, where its README.md doesn't say."
    )
    steps: int = Field(..., gt=0, description="Optimiser steps.")
    clips_per_batch: int = Field(32, gt=0, description="Clips (rows) of the global batch.")
    clips_per_forward: int = Field(
        1024, gt=0, description="Most clips in one forward pass of a process; more accumulate."
    )
    questions_per_clip: int = Field(
        8, gt=0, description="Questions of one clip that share a row; 1 is the paper's way."
    )
    numeric_answers: Literal["text", "binned"] = Field(
        "text", description="binned: numbers become the nearest of 121 one-token values."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16 is autocast; losses stay float32."
    )
    seed: int = Field(42, ge=0, description="Of the order, the heads and the tokens.")
    input: InputConfig = InputConfig()
    optim: OptimConfig = OptimConfig()
    heads: HeadsConfig = HeadsConfig()
    objectives: Objectives = Objectives()
    checkpoint_every: int = Field(100, gt=0, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(2, gt=0, description="Complete checkpoints that stay.")
    cache_mb: int = Field(1024, ge=0, description="Clips and targets kept in memory, a process.")
    tracking_patience_s: float = Field(
        120.0, ge=0, description="Seconds to wait at the end for a tracking server that is away."
    )
    launch: LaunchConfig = LaunchConfig()


class Finished(Config):
    """What training leaves in the store when it is done."""

    files: dict[str, str]
    steps: int
    clips_shortened: int
    final_loss: float
    curve_sha256: str


def training_key(config: TrainConfig, inputs: dict[str, str]) -> str:
    """Hash of all that decides the trained weights, defaults spelled out."""
    values = config.model_dump(mode="json", exclude=NOT_IN_KEY | {"base_model"})
    return digest({"config": values, "inputs": inputs})[:24]


def train(config: TrainConfig, *, clips: ClipSet, targets: TargetSet, output: Path) -> Checkpoint:
    """Train on the clips of the train split and export a stock Qwen3-VL.

    Raises:
        UserError: for a missing base model or a licence that its card contradicts, clips without
            targets, or a batch that ranks can't share evenly.
        Interrupted: when stopped by a signal; the same call goes on.
    """
    from geovr import distributed, tracking

    base = Path(config.base_model)
    inputs = {
        "clips": clips.digest,
        "targets": targets.digest,
        "base_model": directory_digest(base),
    }
    _lineage(config, targets)  # a licence that contradicts another is told before any work
    key = training_key(config, inputs)
    store = Store.open(config.store)
    prefix = f"training/{key}"
    tags = {"stage": "train", "git_sha": git_sha()}
    with distributed.process_group():
        run = tracking.TrainingRun(
            config.experiment,
            f"train-{key[:8]}",
            key,
            tags,
            lambda opened: _log_inputs(opened, config, clips, targets),
        )
        status = "FAILED"
        try:
            finished = _finished(store, prefix)
            if finished is None:
                finished = _fit(config, clips, targets, store, prefix, run)
                distributed.barrier()
            else:
                log.info("train: %s is trained already; nothing to do", store.uri_of(prefix))
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit, Interrupted):
            status = "KILLED"
            raise
        finally:
            run_id = _close(run, status, config.tracking_patience_s)
        run_id = distributed.broadcast_object(run_id)
        if distributed.rank() == 0:
            _write(config, clips, targets, output, inputs, key, prefix, finished, run_id)
        distributed.barrier()
    return Checkpoint.load(output)


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
            f"train.base_model: {directory}: no such directory; `geovr init-model --output"
            f" {directory}` makes a tiny model"
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
        parts += teacher(targets.manifest.details.get("teacher"))
    return list(dict.fromkeys(parts))


def _finished(store: Store, prefix: str) -> Finished | None:
    """What finished training left; None when it isn't finished, or something of it is gone."""
    key = f"{prefix}/finished.json"
    if not store.exists(key):
        return None
    finished = Finished.model_validate_json(store.get(key))
    names = [f"{prefix}/export/{name}" for name in finished.files] + [f"{prefix}/curve.jsonl"]
    missing = [name for name in names if not store.exists(name)]
    if missing:
        log.warning("train: %s is gone; exporting again", store.uri_of(missing[0]))
        return None
    return finished


def _fit(
    config: TrainConfig, clips: ClipSet, targets: TargetSet, store: Store, prefix: str, run: Any
) -> Finished:
    import torch

    from geovr import distributed
    from geovr.data.dataset import BatchMaker, RowOrder, questions_by_clip
    from geovr.data.lengths import frames_to_keep
    from geovr.model.forward import load_backbone
    from geovr.model.geovr import GeoVR
    from geovr.training.checkpoint import Checkpoints
    from geovr.training.loop import LoopSettings, Trainer
    from geovr.training.optim import freeze, make_optimizer

    world = distributed.world_size()
    if config.clips_per_batch % world:
        raise UserError(
            f"train.clips_per_batch: {config.clips_per_batch} clips can't be shared evenly by"
            f" {world} processes; make it a multiple of {world}"
        )
    optim, heads, objectives = config.optim, config.heads, config.objectives
    questions = clips.questions[clips.questions["split"] == "train"].reset_index(drop=True)
    _require_targets(questions, targets, objectives.any)
    torch.manual_seed(config.seed)
    device = (
        torch.device("cuda", distributed.local_rank())
        if torch.cuda.is_available()
        else (torch.device("cpu"))
    )
    backbone, processor = load_backbone(Path(config.base_model))
    feature_dim = int(targets.manifest.details["feature_dim"])
    model = GeoVR(backbone, heads, objectives, feature_dim).to(device)
    freeze(model, optim)
    maker = BatchMaker(
        clips,
        targets if objectives.any else None,
        processor,
        questions,
        numeric=config.numeric_answers,
        shown=config.input,
        layout=heads.layout,
        camera=objectives.camera,
        scale=objectives.scale,
        cache_mb=config.cache_mb,
    )
    by_clip = questions_by_clip(questions)
    maker.kept_frames = frames_to_keep(maker, by_clip, config.input)
    if maker.kept_frames:
        log.warning(
            "train: %d of %d clips are shown with fewer frames to fit input.max_tokens %s, e.g. %s",
            len(maker.kept_frames),
            len(by_clip),
            config.input.max_tokens,
            next(iter(maker.kept_frames)),
        )
    order = RowOrder(by_clip, config.questions_per_clip, config.seed)
    settings = LoopSettings(
        steps=config.steps,
        clips_per_batch=config.clips_per_batch,
        clips_per_forward=config.clips_per_forward,
        checkpoint_every=config.checkpoint_every,
        precision=config.precision,
    )
    trainer = Trainer(
        model,
        make_optimizer(model, optim),
        order,
        maker,
        Checkpoints(store, prefix, config.keep_checkpoints),
        optim,
        settings,
        device,
    )
    curve = trainer.fit(run.log_metrics)
    if distributed.rank() == 0:
        card = model_card(_lineage(config, targets))
        _export(model, processor, card, curve, store, prefix, len(maker.kept_frames))
    distributed.barrier()
    finished = _finished(store, prefix)
    if finished is None:
        raise RuntimeError(f"{store.uri_of(prefix)}: rank 0 left no export")
    return finished


def _require_targets(questions: Any, targets: TargetSet, needed: bool) -> None:
    missing = sorted(set(questions["clip_id"]) - set(targets.index["clip_id"]))
    if needed and missing:
        raise UserError(
            f"train: {len(missing)} training clips have no targets, e.g. {missing[0]}; run"
            " extract_targets on this ClipSet again, or switch all train.objectives off"
        )


def _export(
    model: GeoVR,
    processor: Any,
    card: str,
    curve: list[dict[str, float]],
    store: Store,
    prefix: str,
    shortened: int,
) -> None:
    """Backbone and processor as a stock directory; heads and curve beside it; the mark last."""
    from safetensors.torch import save

    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        model.backbone.save_pretrained(directory)
        processor.save_pretrained(directory)
        write_atomic(directory / "README.md", card.encode())
        files = store.put_directory(f"{prefix}/export", directory)
    heads = {name: p.detach().cpu().contiguous() for name, p in model.head_parameters().items()}
    store.put(f"{prefix}/heads.safetensors", save(heads))
    lines = "".join(canonical_json(metrics) + "\n" for metrics in curve)
    finished = Finished(
        files=files,
        steps=len(curve),
        clips_shortened=shortened,
        final_loss=curve[-1]["loss"],
        curve_sha256=store.put(f"{prefix}/curve.jsonl", lines.encode()),
    )
    store.put(f"{prefix}/finished.json", finished.model_dump_json().encode())


def _log_inputs(run: Any, config: TrainConfig, clips: ClipSet, targets: TargetSet) -> None:
    dump = config.model_dump(
        mode="json", exclude={"launch", "input", "optim", "heads", "objectives"}
    )
    for name in ("input", "optim", "heads", "objectives"):
        nested = getattr(config, name).model_dump(mode="json")
        dump |= {f"{name}.{field}": value for field, value in nested.items()}
    run.log_params(dump)
    dvc = clips.manifest.details.get("dvc") or {}
    for name, artifact, tags in (
        ("clips", clips, {f"dvc_{k}": str(v) for k, v in dvc.items()}),
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
        content={"key": key, "files": finished.files},
        details={
            "key": key,
            "prefix": f"{prefix}/export",
            "files": finished.files,
            "heads": store.uri_of(f"{prefix}/heads.safetensors"),
            "steps": finished.steps,
            "final_loss": finished.final_loss,
            "mlflow_run_id": run_id,
            "base_model_digest": inputs["base_model"],
            "teacher": targets.manifest.details.get("teacher"),
            "lineage": [part.model_dump() for part in _lineage(config, targets)],
            "dvc": clips.manifest.details.get("dvc"),
            "numeric_answers": config.numeric_answers,
        },
    )
    log.info(
        "train: %d steps, final loss %.4f, checkpoint %s",
        finished.steps,
        finished.final_loss,
        store.uri_of(f"{prefix}/export"),
    )
