"""`geovr probe`: fit each layer of each model, score what was held out.

Two passes over a model's clips: the first sums up each fold (probing/ridge.py), the second predicts
each clip by the fit that has not seen its scene. States are kept between the two while they are
few; layers are taken so many at a time as their sums fit in memory.

Shape suffixes: R rows, Q numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geovr.artifacts import ClipSet
from geovr.asking.model import answering
from geovr.errors import UserError
from geovr.model.forward import load_backbone
from geovr.probing.config import Named, ProbeConfig
from geovr.probing.results import (
    LayerReadings,
    ModelProbe,
    Probe,
    Scored,
    Scorer,
    beyond,
)
from geovr.probing.ridge import CrossFit, Moments, cross_fit
from geovr.probing.states import GROUND_TRUTH, ClipStates, Reader, Replay
from geovr.probing.targets import OUTPUTS, TARGETS, WIDTHS, Block, inputs
from geovr.simulation.truth import truth_name
from geovr.storage import Store, is_s3

log = logging.getLogger("geovr")

MOST_BYTES = 2 << 30
"""Of the sums of the layers that are fitted together, and of the states that are kept."""


def probe(models: Sequence[Named], clips: ClipSet, truth: str, config: ProbeConfig) -> Probe:
    """Probe some models on the same clips and folds.

    Args:
        models: of different names; the others are compared with the first.
        clips: of which a split is shown.
        truth: directory or s3:// prefix of what `geovr simulate` wrote about their scenes.
        config: of the probe.

    Raises:
        UserError: when there is no such model, or nothing to probe it on.
    """
    rows, left_out, place = select(clips, truth, config)
    scenes = sorted({str(row.scene) for row in rows})
    fold_of = deal(scenes, config)
    scorer = Scorer(scenes, config.resamples, config.seed)
    told: list[ModelProbe] = []
    first: dict[tuple[int, str], Scored] = {}
    for model in models:
        with answering(model.reference) as found:
            backbone, processor = load_backbone(found.directory)
            reader = Reader(
                backbone, processor, clips, rows, place,
                shown=found.shown, batch_rows=config.batch_rows, name=model.name,
            )  # fmt: skip
        made, scored = _probe_model(model, reader, fold_of, scorer, config)
        if told:
            made = _compared(made, scored, first, made.num_layers == told[0].num_layers)
        told.append(made)
        first = first or scored
    return Probe(
        config=config,
        clips_digest=clips.digest,
        clips=len(rows),
        scenes=len(scenes),
        left_out=left_out,
        models=told,
    )


def select(
    clips: ClipSet, truth: str, config: ProbeConfig
) -> tuple[list[Any], dict[str, int], Store]:
    """The clips that are probed, why others of the split are not, and where their truth is.

    Raises:
        UserError: when none is left.
    """
    if not is_s3(truth) and not Path(truth).is_dir():
        raise UserError(
            f"{GROUND_TRUTH} {truth}: no such directory; give the ground_truth directory that"
            " `geovr simulate` wrote beside these videos"
        )
    place = Store.open(truth)
    index = clips.index[clips.index["split"] == config.split].sort_values("clip_id")
    every = list(index.itertuples(index=False))
    if not every:
        splits = ", ".join(sorted(set(clips.index["split"])))
        raise UserError(f"--split {config.split}: no clip belongs to it; there are {splits}")
    videos = [row for row in every if row.kind == "video"]
    known = {
        scene: place.exists(truth_name(scene)) for scene in sorted({row.scene for row in videos})
    }
    rows = [row for row in videos if known[row.scene]]
    if not rows:
        raise UserError(
            f"{GROUND_TRUTH} {truth}: knows none of the {len(every)} clips of {config.split}, such"
            f" as {truth_name(every[0].scene)}; give the ground_truth directory that `geovr"
            " simulate` wrote beside these videos"
        )
    aside = {
        "still images, which have no camera path": len(every) - len(videos),
        "no ground truth": len(videos) - len(rows),
    }
    if 0 < config.most_clips < len(rows):
        places = np.linspace(0, len(rows) - 1, config.most_clips).round().astype(int)
        rows = [rows[place] for place in places]
    return rows, {reason: count for reason, count in aside.items() if count}, place


def deal(scenes: Sequence[str], config: ProbeConfig) -> dict[str, int]:
    """A fold for each scene, at random and of equal sizes: no scene is fitted and scored.

    Raises:
        UserError: for fewer scenes than folds.
    """
    if len(scenes) < config.folds:
        least = "at least three" if len(scenes) < 3 else f"--folds {len(scenes)}"
        raise UserError(
            f"--folds {config.folds}: there are {len(scenes)} scenes, and a fold needs one; give"
            f" {least} or more clips of other scenes"
        )
    order = np.random.default_rng(config.seed).permutation(len(scenes))
    return {scenes[place]: number % config.folds for number, place in enumerate(order)}


def _probe_model(
    model: Named, reader: Reader, fold_of: dict[str, int], scorer: Scorer, config: ProbeConfig
) -> tuple[ModelProbe, dict[tuple[int, str], Scored]]:
    every = range(reader.norm + 1)
    chosen = list(every) if config.layers is None else sorted(set(config.layers))
    if not chosen or chosen[0] < 0 or chosen[-1] > reader.norm:
        raise UserError(
            f"--layers: {model.name} has layers 0 to {reader.norm - 1}, and {reader.norm} is its"
            " final norm's output"
        )
    D = reader.width
    sums = 8 * config.folds * sum((width * D) ** 2 for width in WIDTHS.values())
    at_once = max(1, MOST_BYTES // sums)
    scored: dict[tuple[int, str], Scored] = {}
    layers: list[LayerReadings] = []
    constant: dict[str, Scored] = {}
    items: dict[str, int] = {}
    for start in range(0, len(chosen), at_once):
        group = chosen[start : start + at_once]
        clips = Replay(lambda group=group: reader(group), MOST_BYTES)  # type: ignore[misc]
        fits = fit_layers(clips, group, D, fold_of, config.folds)
        found, constant, items = score_layers(clips, fits, fold_of, scorer)
        scored |= found
        for layer in group:
            readings = {n: one.reading for (at, n), one in found.items() if at == layer}
            name = "final norm" if layer == reader.norm else str(layer)
            layers.append(LayerReadings(layer=layer, name=name, targets=readings))
    told = ModelProbe(
        name=model.name,
        reference=model.reference,
        width=D,
        num_layers=reader.norm - 1,
        items=items,
        constant={name: one.reading for name, one in constant.items()},
        layers=layers,
    )
    return told, scored


Fits = dict[tuple[int, Block], CrossFit]


def fit_layers(
    clips: Replay | Sequence[ClipStates],
    layers: Sequence[int],
    width: int,
    fold_of: dict[str, int],
    folds: int,
) -> Fits:
    """The cross-fits of each layer's blocks; blocks that a fold has no rows of are left out."""
    sums: dict[tuple[int, Block], list[Moments]] = {}
    for clip in clips:
        fold = fold_of[clip.scene]
        for layer, states in clip.layers.items():
            for block, times in WIDTHS.items():
                if (layer, block) not in sums:
                    sums[layer, block] = [
                        Moments.zero(times * width, OUTPUTS[block], states.device)
                        for _ in range(folds)
                    ]
                sums[layer, block][fold].add(*_rows(clip, states, block))
    groups: dict[Block, dict[str, slice]] = {block: {} for block in WIDTHS}
    for name, target in TARGETS.items():
        groups[target.block][name] = target.columns
    fits: Fits = {}
    for layer in layers:
        for block in WIDTHS:
            parts = sums.pop((layer, block))
            if all(part.count for part in parts):
                fits[layer, block] = cross_fit(parts, groups[block])
    return fits


def _rows(
    clip: ClipStates, states: torch.Tensor, block: Block
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and numbers of a block, without what has no truth."""
    x, y = inputs(states, block), clip.targets.of(block).to(states.device)
    known = y.isfinite().all(-1)
    return x[known], y[known]


def score_layers(
    clips: Replay | Sequence[ClipStates], fits: Fits, fold_of: dict[str, int], scorer: Scorer
) -> tuple[dict[tuple[int, str], Scored], dict[str, Scored], dict[str, int]]:
    """Predict every clip by the fits that have not seen its scene.

    Returns:
        (layer, target) -> score; target -> score of the constant; target -> rows.
    """
    said: dict[tuple[int, Block], list[torch.Tensor]] = {key: [] for key in fits}
    # the truth and the constant are the same for all layers
    one_of = {block: layer for layer, block in fits}
    true: dict[Block, list[torch.Tensor]] = {block: [] for block in one_of}
    mean: dict[Block, list[torch.Tensor]] = {block: [] for block in one_of}
    scenes: dict[Block, list[str]] = {block: [] for block in one_of}
    for clip in clips:
        fold = fold_of[clip.scene]
        for layer, block in fits:
            x, y = _rows(clip, clip.layers[layer], block)
            said[layer, block].append(fits[layer, block].linear_K[fold](x).cpu())
            if one_of[block] == layer:
                true[block].append(y.cpu())
                mean[block].append(fits[layer, block].mean_KQ[fold].cpu().expand(y.shape))
                scenes[block] += [clip.scene] * len(y)
    scored, constant, items = {}, {}, {}
    for name, target in TARGETS.items():
        block, columns = target.block, target.columns
        if block not in one_of:
            continue
        true_RQ = torch.cat(true[block])[:, columns]
        items[name] = len(true_RQ)
        guess_RQ = torch.cat(mean[block])[:, columns]
        constant[name] = scorer(target, guess_RQ, true_RQ, scenes[block])
        for layer in sorted({layer for layer, _ in fits}):
            said_RQ = torch.cat(said[layer, block])[:, columns]
            penalties = fits[layer, block].penalties[name]
            scored[layer, name] = scorer(target, said_RQ, true_RQ, scenes[block], penalties)
    return scored, constant, items


def _compared(
    made: ModelProbe,
    scored: dict[tuple[int, str], Scored],
    first: dict[tuple[int, str], Scored],
    alike: bool,
) -> ModelProbe:
    """With what each layer says beyond the first model's same layer.

    Models of different depths have no layers in common but the first, 0.
    """
    layers = []
    for one in made.layers:
        targets = {
            name: beyond(scored[one.layer, name], first[one.layer, name])
            if (one.layer, name) in first and (alike or one.layer == 0)
            else reading
            for name, reading in one.targets.items()
        }
        layers.append(one.model_copy(update={"targets": targets}))
    return made.model_copy(update={"layers": layers})
