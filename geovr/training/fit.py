"""A training from its config: model, data, optimiser, loop, export."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from geovr import distributed
from geovr.artifacts import ClipSet, TargetSet
from geovr.data.dataset import BatchMaker
from geovr.data.lengths import RowLengths, frames_to_keep
from geovr.data.loader import default_workers
from geovr.data.order import RowOrder, questions_by_clip, questions_that_pay
from geovr.data.steps import Budget, StepReader
from geovr.errors import UserError
from geovr.home import home
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.lora import add_adapters
from geovr.object_cache import ObjectCache
from geovr.storage import Store
from geovr.training.config import TrainConfig
from geovr.training.export import Finished, read_finished, write_finished
from geovr.training.loop import LoopSettings, Trainer
from geovr.training.optim import freeze, make_optimizer
from geovr.training.parallel import prepare, whole_state
from geovr.training.resume import open_checkpoints

log = logging.getLogger("geovr")


def fit(
    config: TrainConfig,
    clips: ClipSet,
    targets: TargetSet,
    store: Store,
    prefix: str,
    log_metrics: Callable[[dict[str, float], int], None],
    *,
    card: str,
    base_model_digest: str,
) -> Finished:
    """Train to the last step and export, going on from what stands in the store.

    Args:
        config: of the training.
        clips: clips and questions, of which those of the train split are learnt.
        targets: what a teacher says about the clips.
        store: for checkpoints and the export.
        prefix: of this training.
        log_metrics: called by rank 0 with each step's metrics.
        card: the README.md of the export.
        base_model_digest: of the base model.

    Raises:
        UserError: for clips without targets, samples over the limit, a batch that ranks can't
            share evenly, or a training to go on from that is of another model.
        Interrupted: when stopped by a signal.
    """
    world = distributed.world_size()
    if config.clips_per_batch % world:
        raise UserError(
            f"train.clips_per_batch: {config.clips_per_batch} clips can't be shared evenly by"
            f" {world} processes; make it a multiple of {world}"
        )
    questions = clips.questions[clips.questions["split"] == "train"].reset_index(drop=True)
    _require_targets(questions, targets, config.objectives.any)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", distributed.local_rank()) if cuda else torch.device("cpu")
    feature_dim = int(targets.manifest.details["feature_dim"])
    model, processor = make_model(config, feature_dim)
    prepare(model, config.parallel, config.precision, device)
    workers = default_workers() if config.data_workers is None else config.data_workers
    reader = make_reader(config, clips, targets, processor, questions, workers)
    settings = LoopSettings(
        steps=config.steps,
        checkpoint_every=config.checkpoint_every,
        precision=config.precision,
        nonfinite=config.nonfinite,
        step_timeout_s=config.step_timeout_s,
        seed=config.seed,
        data_workers=workers,
    )
    checkpoints = open_checkpoints(config, store, prefix)
    optimizer = make_optimizer(model, config.optim)
    trainer = Trainer(model, optimizer, reader, checkpoints, config.optim, settings, device)
    curve = trainer.fit(log_metrics)
    if config.parallel.sharding != "none":
        state = whole_state(model)
        if distributed.rank() == 0:
            model, processor = make_model(config, feature_dim)
            model.load_state_dict(state)
    if distributed.rank() == 0:
        write_finished(
            store,
            prefix,
            model,
            processor,
            curve,
            card=card,
            base_model_digest=base_model_digest,
            clips_shortened=len(reader.maker.kept_frames),
        )
    distributed.barrier()
    finished = read_finished(store, prefix)
    if finished is None:
        raise RuntimeError(f"{store.uri_of(prefix)}: rank 0 left no export")
    return finished


def make_model(config: TrainConfig, feature_dim: int) -> tuple[GeoVR, Any]:
    """The model before the first step, whole and on the CPU, and its processor."""
    torch.manual_seed(config.seed)
    backbone, processor = load_backbone(Path(config.base_model))
    if config.lora is not None:
        add_adapters(backbone, config.lora)
    else:
        freeze(backbone, config.optim)
    return GeoVR(backbone, config.heads, config.objectives, feature_dim), processor


def make_reader(
    config: TrainConfig,
    clips: ClipSet,
    targets: TargetSet,
    processor: Any,
    questions: Any,
    workers: int,
) -> StepReader:
    """This rank's reader of steps, every sample within the limit.

    Raises:
        UserError: naming clips that are too long.
    """
    objectives = config.objectives
    maker = BatchMaker(
        clips,
        targets if objectives.any else None,
        processor,
        questions,
        numeric=config.numeric_answers,
        shown=config.input,
        layout=config.heads.layout,
        camera=objectives.camera,
        scale=objectives.scale,
        cache_mb=config.cache_mb // max(1, workers),
        disk=ObjectCache(home() / "cache/objects", int(config.disk_cache_gb * 1e9)),
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
    lengths = RowLengths(maker, by_clip)
    per_row = config.questions_per_clip
    if per_row == "auto":
        per_row = questions_that_pay(*lengths.means())
        log.info("train: questions_per_clip auto is %d for these clips and questions", per_row)
    order = RowOrder(by_clip, per_row, config.seed)
    budget = Budget(config.clips_per_batch, config.clips_per_forward, config.tokens_per_forward)
    rank, world = distributed.rank(), distributed.world_size()
    return StepReader(maker, order, lengths, budget, rank, world)


def _require_targets(questions: Any, targets: TargetSet, needed: bool) -> None:
    missing = sorted(set(questions["clip_id"]) - set(targets.index["clip_id"]))
    if needed and missing:
        raise UserError(
            f"train: {len(missing)} training clips have no targets, e.g. {missing[0]}; run"
            " extract_targets on this ClipSet again, or switch all train.objectives off"
        )
