"""extract_targets: ClipSet -> TargetSet.

Objects lie in the store under targets/<teacher key>/, named by what they were made from, so a
rerun calls the teacher for what is new only. Under torchrun the ranks share the clips.

details of the TargetSet: teacher (its card), teacher_key, teacher_calls, reused, feature_dim,
feature_grid and depth_size of the first clip.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from geovr.artifacts import ClipSet, TargetSet, start_output
from geovr.config import LaunchConfig, StageConfig, digest
from geovr.errors import UserError
from geovr.storage import Store
from geovr.teachers.config import (
    DepthAnything3Config,
    OracleConfig,
    VggtConfig,
    VggtOmegaConfig,
)

if TYPE_CHECKING:
    from geovr.data.targets import GeometryTargets
    from geovr.teachers.base import Teacher

log = logging.getLogger("geovr")


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
    from geovr.progress import progress

    teacher = _make_teacher(config)
    store = Store.open(config.store)
    wanted = clips.index[clips.index["split"].isin(config.splits)]
    if wanted.empty:
        raise UserError(
            f"extract_targets.splits: no clip belongs to {', '.join(config.splits)}; the ClipSet's"
            f" splits are {sorted(set(clips.index['split']))}"
        )
    rows = list(wanted.itertuples(index=False))
    with distributed.process_group():
        mine = rows[distributed.rank() :: distributed.world_size()]
        done = []
        with progress("extract_targets", len(mine), "clips") as bar:
            for row in mine:
                done.append(_one(teacher, clips.store, store, row))
                bar.advance()
        everyone = [item for part in distributed.gather_objects(done) for item in part]
        if distributed.rank() == 0:
            _write(config, teacher, clips, store, everyone, output)
        distributed.barrier()
    return TargetSet.load(output)


def _make_teacher(config: ExtractTargetsConfig) -> Teacher:
    from geovr.teachers.make import make_teacher

    return make_teacher(getattr(config, config.teacher))


def _teacher_key(teacher: Teacher) -> str:
    from geovr.data.targets import CODE_VERSION

    card = teacher.card
    return digest({"key": teacher.key(), "weights": card.weights_digest, "code": CODE_VERSION})[:16]


def _one(teacher: Teacher, clip_store: Store, store: Store, row: Any) -> dict[str, Any]:
    """The index row of one clip's targets, which are made unless they stand in the store."""
    from geovr.data.clips import read_clip
    from geovr.data.targets import encode
    from geovr.storage import sha256_bytes

    clip = read_clip(clip_store, row)
    # the object key holds the sampler too: the same video sampled otherwise has other targets
    made_from = f"{row.object_sha256} {teacher.clip_inputs_digest(clip)}"
    name = hashlib.sha256(made_from.encode()).hexdigest()
    key = f"targets/{_teacher_key(teacher)}/{name[:2]}/{name}.safetensors"
    data, targets = _sound(store, key)
    reused = targets is not None
    if targets is None:
        targets = teacher([clip])[0]
        data = encode(targets)
        store.put(key, data)
    return {
        "clip_id": row.clip_id,
        "video_sha256": row.video_sha256,
        "object_key": key,
        "object_bytes": len(data),
        "object_sha256": sha256_bytes(data),
        "scale_valid": targets.metric_scale_valid,
        "reused": reused,
        "feature_grid": list(targets.features_NTHWC.shape[2:4]),
        "depth_size": list(targets.depth_THW.shape[1:]),
    }


def _sound(store: Store, key: str) -> tuple[bytes, GeometryTargets | None]:
    """An object that stands in the store and is whole; a broken one is named and made again."""
    from geovr.data.objects import BrokenObject
    from geovr.data.targets import decode

    if not store.exists(key):
        return b"", None
    data = store.get(key)
    try:
        return data, decode(data)
    except BrokenObject as error:
        log.warning("%s: %s; making it again", store.uri_of(key), error)
        return b"", None


def _write(
    config: ExtractTargetsConfig,
    teacher: Teacher,
    clips: ClipSet,
    store: Store,
    rows: list[dict[str, Any]],
    output: Path,
) -> None:
    import pandas as pd

    directory = start_output(output)
    rows = sorted(rows, key=lambda row: str(row["clip_id"]))
    reused = sum(row["reused"] for row in rows)
    grid, size = rows[0]["feature_grid"], rows[0]["depth_size"]
    index = pd.DataFrame(rows).drop(columns=["reused", "feature_grid", "depth_size"])
    index.to_parquet(directory / "index.parquet", index=False)
    TargetSet.commit(
        directory,
        inputs={"clips": clips.digest},
        config=config.model_dump(mode="json"),
        counts={
            "clips_in": len(clips.index),
            "targets": len(rows),
            "clips_of_other_splits": len(clips.index) - len(rows),
        },
        store=store.uri,
        content=index.to_dict("records"),
        details={
            "teacher": teacher.card.model_dump(),
            "teacher_key": _teacher_key(teacher),
            "teacher_calls": len(rows) - reused,
            "reused": reused,
            "feature_dim": teacher.feature_dim,
            "feature_grid": grid,
            "depth_size": size,
        },
    )
    log.info(
        "extract_targets: %d clips: %d teacher calls, %d reused, %d of other splits left out",
        len(rows),
        len(rows) - reused,
        reused,
        len(clips.index) - len(rows),
    )
