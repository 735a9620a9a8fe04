"""A training from its config: model, data, optimiser, loop, export."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from geovr import distributed
from geovr.artifacts import ClipSet, TargetSet
from geovr.data.dataset import BatchMaker, RowOrder, questions_by_clip
from geovr.data.lengths import frames_to_keep
from geovr.errors import UserError
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.lora import add_adapters
from geovr.storage import Store
from geovr.training.checkpoint import Checkpoints
from geovr.training.config import TrainConfig
from geovr.training.export import Finished, read_finished, write_finished
from geovr.training.loop import LoopSettings, Trainer
from geovr.training.optim import freeze, make_optimizer

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
        UserError: for clips without targets, samples over the limit, or a batch that ranks can't
            share evenly.
        Interrupted: when stopped by a signal.
    """
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
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", distributed.local_rank()) if cuda else torch.device("cpu")
    backbone, processor = load_backbone(Path(config.base_model))
    feature_dim = int(targets.manifest.details["feature_dim"])
    if config.lora is not None:
        add_adapters(backbone, config.lora)
    else:
        freeze(backbone, optim)
    model = GeoVR(backbone, heads, objectives, feature_dim).to(device)
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
    curve = trainer.fit(log_metrics)
    if distributed.rank() == 0:
        write_finished(
            store,
            prefix,
            model,
            processor,
            curve,
            card=card,
            base_model_digest=base_model_digest,
            clips_shortened=len(maker.kept_frames),
        )
    distributed.barrier()
    finished = read_finished(store, prefix)
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
