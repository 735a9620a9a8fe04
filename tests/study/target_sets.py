"""TargetSets of random targets, for tests that need no teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from geovr.artifacts import TargetSet
from geovr.data.objects import unseal
from geovr.data.target_format import TargetFormat
from geovr.data.targets import GeometryTargets, encode
from geovr.storage import Store, sha256_bytes

Tensors = dict[str, np.ndarray]


def random_targets(random: np.random.Generator, frames: int, side: int) -> GeometryTargets:
    """Cameras that turn and move, and depth of unit mean."""
    pose = np.zeros((frames, 9))
    pose[:, :3] = random.normal([0.5, -1, 2], [0.5, 0.2, 1], (frames, 3))
    turns = Rotation.from_rotvec(random.normal([0, 0.6, 0], 0.2, (frames, 3))).as_quat()
    pose[:, 3:7] = turns * np.where(turns[:, 3:] < 0, -1, 1)
    pose[0, :7] = [0, 0, 0, 0, 0, 0, 1]
    pose[:, 7:] = random.uniform(1.2, 1.6)
    depth = random.lognormal(0, 0.5, (frames, side, side))
    depth /= depth.mean()
    return GeometryTargets(
        pose_encoding_TK=pose.astype(np.float32),
        depth_THW=depth.astype(np.float32),
        confidence_THW=random.uniform(0, 1, depth.shape).astype(np.float32),
        metric_scale=float(random.uniform(1, 4)),
        metric_scale_valid=True,
        features_NTHWC=random.normal(
            np.linspace(-1, 1, 16), 0.4, (4, frames, 2, 2, 16)
        ).astype(np.float32),
    )  # fmt: skip


def make_target_set(
    root: Path,
    clips: list[GeometryTargets],
    depth: Literal["f16", "log_u16"] = "f16",
    group: Literal[64, 32] = 64,
) -> TargetSet:
    """A TargetSet of these targets, clips c0, c1, .., with its store below `root`."""
    store = Store.open(str(root / "store"))
    rows = []
    for number, targets in enumerate(clips):
        data = encode(targets, TargetFormat(depth=depth, feature_group=group))
        key = f"targets/true/{number}.safetensors"
        store.put(key, data)
        rows.append({
            "clip_id": f"c{number}", "video_sha256": f"v{number}", "object_key": key,
            "object_bytes": len(data), "object_sha256": sha256_bytes(data),
            "scale_valid": targets.metric_scale_valid,
        })  # fmt: skip
    directory = root / "targets"
    directory.mkdir()
    pd.DataFrame(rows).to_parquet(directory / "index.parquet", index=False)
    return TargetSet.commit(
        directory,
        inputs={"clips": "of the clips"},
        config={"teacher": "oracle", "splits": ["train"]},
        counts={"clips_in": len(rows), "targets": len(rows), "clips_of_other_splits": 0},
        store=store.uri,
        content=rows,
        details={"teacher": {"name": "t"}, "feature_dim": 16, "depth_size": [6, 6]},
    )


def tensors_of(targets: TargetSet) -> dict[str, Tensors]:
    """Clip to the tensors of its object, verified."""
    return {
        row.clip_id: unseal(targets.store.get(row.object_key, row.object_sha256))
        for row in targets.index.itertuples(index=False)
    }


def different(one: Tensors, other: Tensors) -> set[str]:
    """Names of tensors that are not the same bytes of the same type and shape."""
    assert set(one) == set(other)
    return {
        name
        for name, value in one.items()
        if (value.dtype, value.shape) != (other[name].dtype, other[name].shape)
        or value.tobytes() != other[name].tobytes()
    }


def listing(store: Any) -> dict[str, tuple[int, int]]:
    """What lies in a store on this disk: key to size and time of writing."""
    root = Path(store.uri.removeprefix("file://"))
    return {
        path.relative_to(root).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
