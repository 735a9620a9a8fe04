"""The benchmark's clips through the heads, in parts that are kept as they come.

As answers are (see evaluation/answering.py): the clips are cut into parts by their index alone, a
part is one object of the store, written once, and whoever goes on after a kill writes the same.
All of it lies beside the answers, under evaluation/<key>/geometry/<own key>; the own key hashes
clips, ground truth and code version.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geovr import data_version, distributed
from geovr.artifacts import Checkpoint, ClipSet
from geovr.config import canonical_json, digest
from geovr.data.clips import read_clip
from geovr.errors import UserError
from geovr.evaluation.asking import Plan
from geovr.evaluation.geometry.config import GeometryConfig
from geovr.evaluation.geometry.measure import (
    CODE_VERSION,
    NotMeasured,
    clip_numbers,
    constant_numbers,
)
from geovr.evaluation.geometry.report import ClipGeometry, GeometryReport, make_report
from geovr.losses.objectives import Objectives
from geovr.progress import progress
from geovr.simulation.truth import read_truth, truth_name
from geovr.storage import Store, is_s3, sha256_bytes

if TYPE_CHECKING:
    from geovr.inspection.heads import Heads

log = logging.getLogger("geovr")

_SETTING = "evaluate.geometry.ground_truth"


@dataclass(frozen=True)
class Work:
    """What is to be measured.

    Attributes:
        rows: of the ClipSet's index, ordered by clip_id.
        truths: scene -> sha256 of its ground truth, for scenes that have one.
        left_out: clips of the benchmark that are not among the rows.
        place: where the ground truth is.
        silent: why nothing can be measured, None when it can.
    """

    rows: tuple[Any, ...]
    truths: dict[str, str]
    left_out: int
    place: Store
    silent: str | None


def prepare(
    config: GeometryConfig, asked: Plan, clips: ClipSet, checkpoint: Checkpoint
) -> Work | None:
    """Find the clips and their ground truth, before hours are spent on answers; all ranks call it.

    Returns:
        None when no ground truth is given.

    Raises:
        UserError: when there is no such directory, or it knows none of the clips.
    """
    if config.ground_truth is None:
        return None
    silent, truth = _why_not(checkpoint, clips), config.ground_truth
    if silent is None:
        truth = data_version.beside(_SETTING, truth, clips)
        if not is_s3(truth) and not Path(truth).is_dir():
            raise UserError(
                f"{_SETTING}: {truth}: no such directory; give the ground_truth directory that"
                " `geovr simulate` wrote, or null to measure no geometry"
            )
    place = Store.open(truth)
    index = clips.index[clips.index["clip_id"].isin(set(asked.test["clip_id"]))]
    every = tuple(index.sort_values("clip_id").itertuples(index=False))
    rows = every
    if 0 < config.clips < len(every):
        places = np.linspace(0, len(every) - 1, config.clips).round().astype(int)
        rows = tuple(every[n] for n in places)
    truths: dict[str, str] = {}
    if silent is None:
        truths = distributed.broadcast_object(
            _digests(place, {row.scene for row in rows}) if distributed.rank() == 0 else {}
        )
        if not truths:
            raise UserError(
                f"{_SETTING}: {place.uri} holds no ground truth of any of the {len(rows)} clips,"
                f" such as {truth_name(rows[0].scene)}; give the ground_truth directory that `geovr"
                " simulate` wrote beside these videos, or null to measure no geometry"
            )
    return Work(rows, truths, len(every) - len(rows), place, silent)


def _why_not(checkpoint: Checkpoint, clips: ClipSet) -> str | None:
    told = clips.manifest.details.get("benchmark")
    if told:
        # one params file serves the simulator's rooms and benchmarks
        return f"{told['benchmark']} is published without ground truth of its geometry"
    if not checkpoint.manifest.details.get("heads_sha256"):
        return "the checkpoint holds no heads"
    trained = Objectives.model_validate(checkpoint.manifest.config["objectives"])
    if trained.camera or trained.depth:
        return None
    return "neither the camera head nor the depth head was trained (train.objectives)"


def _digests(place: Store, scenes: set[str]) -> dict[str, str]:
    names = {scene: truth_name(scene) for scene in sorted(scenes)}
    return {
        scene: sha256_bytes(place.get(name)) for scene, name in names.items() if place.exists(name)
    }


def measure(
    work: Work | None,
    asked: Plan,
    clips: ClipSet,
    checkpoint: Checkpoint,
    store: Store,
    *,
    resamples: int,
    seed: int,
) -> GeometryReport | None:
    """Every clip's numbers, from the store where they are there; all ranks call it.

    Args:
        work: from `prepare`.
        asked: the benchmark's clips and how they are shown.
        clips: where the clips are from.
        checkpoint: whose heads speak.
        store: where parts and results are kept.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        the report on rank 0; None on other ranks, and when there is no work.
    """
    if work is None:
        return None
    if work.silent is not None:
        if distributed.rank() == 0:
            log.warning("geometry: not measured: %s", work.silent)
        return GeometryReport(silent=work.silent, left_out=work.left_out + len(work.rows))
    told = _all_clips(work, asked, clips, checkpoint, store)
    if distributed.rank() != 0:
        return None
    report = make_report(told, left_out=work.left_out, resamples=resamples, seed=seed)
    shown = ", ".join(
        f"{name} {report.means[name].value.mean:.3g}"
        for name in ("abs_rel_median", "rotation_deg", "ate", "auc_30")
        if name in report.means
    )
    log.info("geometry: %d clips, %d without numbers; %s", len(told), len(report.failed), shown)
    return report


def _all_clips(
    work: Work, asked: Plan, clips: ClipSet, checkpoint: Checkpoint, store: Store
) -> list[ClipGeometry]:
    known = [[row.clip_id, row.object_sha256, work.truths.get(row.scene)] for row in work.rows]
    key = digest({"code": CODE_VERSION, "clips": known})[:24]
    prefix = f"evaluation/{asked.key}/geometry/{key}"
    whole = f"{prefix}/clips.jsonl"
    if distributed.broadcast_object(store.exists(whole)):
        log.info("geometry: measured already; it is in the store")
    else:
        parts = cut([row for row in work.rows if row.scene in work.truths], asked.batch_rows)
        keys = [f"{prefix}/parts/{asked.batch_rows}-{n:06d}.json" for n in range(len(parts))]
        _measure_parts(work, asked, clips, checkpoint, store, dict(zip(keys, parts, strict=True)))
        if distributed.rank() == 0:
            told = [
                ClipGeometry.model_validate(row)
                for part in keys
                for row in json.loads(store.get(part))
            ]
            told += [
                ClipGeometry(
                    clip_id=row.clip_id,
                    scene=row.scene,
                    failure=f"no ground truth: {truth_name(row.scene)} is missing",
                )
                for row in work.rows
                if row.scene not in work.truths
            ]
            told.sort(key=lambda one: one.clip_id)
            lines = [canonical_json(one.model_dump()) for one in told]
            store.put_new(whole, ("\n".join(lines) + "\n").encode())
            for part in keys:
                store.remove(part)
    if distributed.rank() != 0:
        return []
    found = [
        ClipGeometry.model_validate_json(line) for line in store.get(whole).decode().splitlines()
    ]
    if [one.clip_id for one in found] != [row.clip_id for row in work.rows]:
        raise UserError(
            f"{store.uri_of(whole)}: not the geometry of these {len(work.rows)} clips; delete it"
            " and run evaluate again"
        )
    return found


def cut(rows: Sequence[Any], most: int) -> list[list[Any]]:
    """Clips of one size and length together, at most so many."""
    parts: list[list[Any]] = []
    before = None
    for row in sorted(rows, key=lambda r: (r.height, r.width, r.num_frames, r.clip_id)):
        size = row.height, row.width, row.num_frames
        if size != before or len(parts[-1]) == most:
            parts.append([])
        parts[-1].append(row)
        before = size
    return parts


def _measure_parts(
    work: Work,
    asked: Plan,
    clips: ClipSet,
    checkpoint: Checkpoint,
    store: Store,
    parts: dict[str, list[Any]],
) -> None:
    """Measure the parts, by their keys, that are not in the store; ranks share them."""
    from geovr.inspection.heads import Heads

    there = {key for key in parts if store.exists(key)} if distributed.rank() == 0 else set()
    there = distributed.broadcast_object(there)
    left = [key for key in parts if key not in there]
    costs = [float(sum(r.num_frames * r.height * r.width for r in parts[key])) for key in left]
    shares = distributed.balanced_shares(costs, distributed.world_size())
    mine = [left[place] for place in shares[distributed.rank()]]
    with progress("geometry", sum(len(parts[key]) for key in mine), "clips") as bar:
        heads = Heads(checkpoint, clips, asked.shown) if mine else None
        for key in mine:
            assert heads is not None
            told = _measure_part(work, clips, heads, parts[key])
            store.put_new(key, canonical_json([one.model_dump() for one in told]).encode())
            bar.advance(len(told))
    distributed.barrier()


def _measure_part(work: Work, clips: ClipSet, heads: Heads, rows: list[Any]) -> list[ClipGeometry]:
    said = heads([row.clip_id for row in rows], (rows[0].height, rows[0].width))
    told = []
    for row, one in zip(rows, said, strict=True):
        numbers: dict[str, float] = {}
        constant: dict[str, float] = {}
        failure = None
        clip, name = read_clip(clips.store, row), truth_name(row.scene)
        try:
            truth = read_truth(work.place.get(name, work.truths[row.scene]), name, clip, _SETTING)
            places = (
                heads.places(row.num_frames) if row.kind == "video" else np.arange(row.num_frames)
            )
            numbers = clip_numbers(one, truth, places)
            constant = constant_numbers(truth, places)
        except (UserError, NotMeasured) as error:
            failure = str(error)
            log.warning("geometry: %s: %s", row.clip_id, failure)
        told.append(
            ClipGeometry(
                clip_id=row.clip_id,
                scene=row.scene,
                numbers=numbers,
                constant=constant,
                failure=failure,
            )
        )
    return told
