"""extract_targets: ClipSet -> TargetSet.

Objects lie in the store under targets/<teacher key>/, named by what they were made from, so a
rerun asks the teacher about what is new only. Under torchrun the ranks share what is to be made,
by its cost.

details of the TargetSet: teacher (its card), teacher_key, teacher_calls (clips that the teacher was
asked about), reused, dvc, feature_dim, feature_grid and depth_size of the first clip.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from geovr import data_version
from geovr.artifacts import ClipSet, TargetSet, start_output
from geovr.config import StageConfig
from geovr.data.target_format import TargetFormat
from geovr.errors import UserError
from geovr.launch_config import LaunchConfig
from geovr.storage import Store, write_atomic
from geovr.teachers.config import (
    DepthAnything3Config,
    OracleConfig,
    VggtConfig,
    VggtOmegaConfig,
)

if TYPE_CHECKING:
    from geovr.teachers.base import Teacher
    from geovr.teachers.extraction import Extraction, Made

log = logging.getLogger("geovr")

_WEEK_S = 7 * 24 * 3600.0
"""Ranks wait for the slowest one; a dead one ends the job by itself."""


class ExtractTargetsConfig(StageConfig):
    """Which teacher speaks about which clips."""

    teacher: Literal["oracle", "vggt", "vggt_omega", "depth_anything3"] = Field(
        "oracle", description="oracle: ground truth as a teacher; the others are 3D models."
    )
    oracle: OracleConfig | None = Field(None, description="Needed by teacher: oracle.")
    vggt: VggtConfig | None = Field(None, description="Needed by teacher: vggt.")
    vggt_omega: VggtOmegaConfig | None = Field(None, description="Needed by teacher: vggt_omega.")
    depth_anything3: DepthAnything3Config | None = Field(
        None, description="Needed by teacher: depth_anything3."
    )
    splits: tuple[str, ...] = Field(("train",), description="Splits whose clips get targets.")
    format: TargetFormat = TargetFormat()
    reuse_check: Literal["digest", "size"] = Field(
        "digest",
        description="How targets that the last index names are checked before they are reused:"
        " digest reads them; size only asks for their size, and leaves the rest to check_targets.",
    )
    launch: LaunchConfig = LaunchConfig()

    @model_validator(mode="after")
    def _has_settings(self) -> ExtractTargetsConfig:
        if getattr(self, self.teacher) is None:
            least = "ground_truth: DIR" if self.teacher == "oracle" else "weights: {path: FILE}"
            raise ValueError(f"teacher: {self.teacher} needs `{self.teacher}: {{{least}}}`")
        return self


def extract_targets(config: ExtractTargetsConfig, *, clips: ClipSet, output: Path) -> TargetSet:
    """Ask the teacher about every clip of the chosen splits.

    Raises:
        UserError: when the teacher lacks what it needs for a clip.
    """
    from geovr import distributed
    from geovr.teachers.extraction import Extraction

    rows = _wanted(config, clips)
    store, teacher = Store.open(config.store), _make_teacher(config, clips)
    known = _known(output, store)
    job = Extraction(teacher, config.format, clips.store, store, known, config.reuse_check)
    with distributed.process_group(timeout_s=_WEEK_S):
        began = time.monotonic()
        done = _share(job, rows)
        if distributed.rank() == 0:
            _write(config, job, clips, done, output, time.monotonic() - began)
        distributed.share_directory(output)
    return TargetSet.load(output)


def _wanted(config: ExtractTargetsConfig, clips: ClipSet) -> list[Any]:
    wanted = clips.index[clips.index["split"].isin(config.splits)]
    if wanted.empty:
        raise UserError(
            f"extract_targets.splits: no clip belongs to {', '.join(config.splits)}; the ClipSet's"
            f" splits are {sorted(set(clips.index['split']))}"
        )
    return list(wanted.itertuples(index=False))


def _known(output: Path, store: Store) -> dict[str, dict[str, Any]]:
    """Rows of the index that the last run left at the same place, by object key."""
    if not (output / "manifest.json").is_file():
        return {}
    try:
        last = TargetSet.load(output)
    except UserError as error:
        log.warning("%s; looking into every object instead", error)
        return {}
    if last.manifest.store != store.uri:
        return {}
    return {row["object_key"]: row for row in last.index.to_dict("records")}


def _share(job: Extraction, rows: list[Any]) -> list[Made]:
    """Targets of all rows: what stands in the store is found, the rest made, both by all ranks."""
    from geovr import distributed
    from geovr.progress import progress
    from geovr.teachers.extraction import Made, cost

    rank, ranks = distributed.rank(), distributed.world_size()
    who = f", rank {rank} of {ranks}" if ranks > 1 else ""
    looked = range(rank, len(rows), ranks)
    with progress(f"extract_targets: looking in the store{who}", len(looked), "clips") as bar:
        found = job.find([rows[place] for place in looked], bar)
    parts = distributed.gather_objects(list(zip(looked, found, strict=True)))
    there = dict(pair for part in parts for pair in part)
    done = [Made(one.index_row, reused=True) for one in there.values() if one.index_row is not None]
    missing = [place for place in range(len(rows)) if there[place].index_row is None]
    # only what is to be made is shared out, so that new clips don't all fall to one rank
    shares = distributed.balanced_shares([cost(rows[place]) for place in missing], ranks)
    mine = [missing[number] for number in shares[rank]]
    with progress(f"extract_targets: asking the teacher{who}", len(mine), "clips") as bar:
        made = job.make([rows[place] for place in mine], [there[place] for place in mine], bar)
    return done + [one for part in distributed.gather_objects(made) for one in part]


def _make_teacher(config: ExtractTargetsConfig, clips: ClipSet) -> Teacher:
    from geovr.teachers.make import make_teacher

    settings = getattr(config, config.teacher)
    if isinstance(settings, OracleConfig):
        key = "extract_targets.oracle.ground_truth"
        place = data_version.beside(key, settings.ground_truth, clips)
        settings = settings.model_copy(update={"ground_truth": place})
    return make_teacher(settings)


def _write(
    config: ExtractTargetsConfig,
    job: Extraction,
    clips: ClipSet,
    done: list[Made],
    output: Path,
    seconds: float,
) -> None:
    import pandas as pd

    from geovr.data.targets import read_targets

    directory = start_output(output)
    index = pd.DataFrame([made.index_row for made in done]).sort_values("clip_id")
    write_atomic(directory / "index.parquet", index.to_parquet(index=False))
    reused, others = sum(made.reused for made in done), len(clips.index) - len(done)
    first = read_targets(job.store, next(index.itertuples(index=False)))
    TargetSet.commit(
        directory,
        inputs={"clips": clips.digest},
        config=config.model_dump(mode="json"),
        counts={
            "clips_in": len(clips.index),
            "targets": len(done),
            "clips_of_other_splits": others,
        },
        store=job.store.uri,
        content=index.to_dict("records"),
        details={
            "teacher": job.teacher.card.model_dump(),
            "teacher_key": job.teacher_key,
            "dvc": data_version.of(clips),
            "teacher_calls": len(done) - reused,
            "reused": reused,
            "feature_dim": job.teacher.feature_dim,
            "feature_grid": list(first.features_NTHWC.shape[2:4]),
            "depth_size": list(first.depth_THW.shape[1:]),
        },
    )
    log.info(
        "extract_targets: %d clips: %d teacher calls, %d reused, %d of other splits left out;"
        " %.1f s, %.1f clips/s",
        len(done),
        len(done) - reused,
        reused,
        others,
        seconds,
        len(done) / max(seconds, 1e-9),
    )
