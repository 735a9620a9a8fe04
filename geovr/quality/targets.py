"""The suite on targets, and the columns it looks at, read from the objects themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pydantic import Field

from geovr.config import Config
from geovr.progress import tracked
from geovr.quality.suites import Expectation, between, clean, true

if TYPE_CHECKING:
    import pandas as pd

    from geovr.artifacts import ClipSet, TargetSet
    from geovr.data.targets import GeometryTargets
    from geovr.storage import Store


THREADS = 4
"""Objects read at once; each one in work needs a few hundred megabytes at full size."""


class TargetThresholds(Config):
    """What is plausible."""

    max_depth: float = Field(1000.0, gt=0, description="Largest depth, in the teacher's unit.")
    min_fov_degrees: float = Field(10.0, gt=0, description="Narrowest field of view.")
    max_fov_degrees: float = Field(170.0, lt=180, description="Widest field of view.")
    min_scale: float = Field(0.01, gt=0, description="Fewest metres a unit.")
    max_scale: float = Field(100.0, gt=0, description="Most metres a unit.")
    max_undefined_scale: float = Field(
        0.2, ge=0, le=1, description="Share of clips without a scale (warning)."
    )


THRESHOLDS = TargetThresholds


def suite(limits: TargetThresholds) -> list[Expectation]:
    """What targets must be before a model learns from them."""
    objects, targets = "objects", "targets"
    low, high = limits.min_fov_degrees, limits.max_fov_degrees
    return [
        true("clips", "has_targets", "Every clip that is trained on has targets."),
        Expectation(
            table=objects,
            type="expect_column_values_to_be_unique",
            kwargs={"column": "clip_id"},
            why="A clip has targets once.",
        ),
        clean(objects, "clip_fault", "Targets belong to a clip of this set."),
        clean(objects, "object_fault", "The object is in the store and whole."),
        clean(targets, "frames_fault", "Targets and clip have the same frames."),
        between(targets, "depth_finite", 1, 1, "Depth is a finite number everywhere."),
        between(targets, "depth_min", 1e-6, None, "Surfaces lie in front of the camera."),
        between(targets, "depth_max", None, limits.max_depth, "Surfaces lie at plausible depth."),
        true(targets, "pose_finite", "Poses are finite numbers."),
        between(targets, "quaternion_error", 0, 1e-3, "Quaternions have length one."),
        between(targets, "first_pose_error", 0, 1e-3, "The first frame is the world."),
        between(targets, "fov_min", low, high, "The field of view is one of a camera."),
        between(targets, "fov_max", low, high, "The field of view is one of a camera."),
        between(
            "scales", "scale", limits.min_scale, limits.max_scale, "The metric scale is plausible."
        ),
        between(targets, "confidence_max", 0, 1, "Confidence is a share."),
        true(targets, "features_alive", "Features are finite, and none is all zero."),
        between(
            "whole",
            "undefined_scale",
            0,
            limits.max_undefined_scale,
            "Most clips have a metric scale.",
            "warning",
        ),
    ]


_MEASURED = (
    "name", "frames_fault", "depth_finite", "depth_min", "depth_max", "pose_finite",
    "quaternion_error", "first_pose_error", "fov_min", "fov_max", "scale", "scale_valid",
    "confidence_max", "features_alive",
)  # fmt: skip


def tables(clips: ClipSet, targets: TargetSet) -> dict[str, pd.DataFrame]:
    """The frames that the suite looks at; `name` identifies a row.

    What can't be read is a row of `objects` only: its numbers are unknown, not wrong.
    """
    import pandas as pd

    splits = set(targets.manifest.config.get("splits", ["train"]))
    wanted = clips.index[clips.index["split"].isin(splits)][["clip_id"]].copy()
    wanted["name"] = wanted["clip_id"]
    wanted["has_targets"] = wanted["clip_id"].isin(targets.index["clip_id"])
    known = {row.clip_id: row for row in clips.index.itertuples(index=False)}
    store = targets.store
    rows = list(targets.index.itertuples(index=False))
    objects, measured = [], []
    with ThreadPoolExecutor(THREADS) as pool:
        measuring = pool.map(lambda row: _measure(store, row, known.get(row.clip_id)), rows)
        looked = list(tracked(measuring, "check_targets: reading", len(rows), "clips"))
    for row, (columns, fault) in zip(rows, looked, strict=True):
        clip = known.get(row.clip_id)
        identity = {"name": row.clip_id, "clip_id": row.clip_id}
        objects.append(identity | {"clip_fault": _clip_fault(row, clip), "object_fault": fault})
        if columns is not None:
            measured.append({"name": row.clip_id} | columns)
    frame = pd.DataFrame(measured, columns=list(_MEASURED))
    valid = frame["scale_valid"].astype(bool)
    undefined = 1 - float(valid.mean()) if len(valid) else 1.0
    return {
        "clips": wanted,
        "objects": pd.DataFrame(objects, columns=["name", "clip_id", "clip_fault", "object_fault"]),
        "targets": frame,
        # an undefined scale is masked out in training, so its value doesn't matter
        "scales": frame[valid],
        "whole": pd.DataFrame([{"name": "the TargetSet", "undefined_scale": undefined}]),
    }


def _clip_fault(row: Any, clip: Any) -> str:
    if clip is None:
        return "the ClipSet has no such clip"
    if row.video_sha256 != clip.video_sha256:
        return "made from another video of this name; run extract_targets again"
    return ""


def _measure(store: Store, row: Any, clip: Any) -> tuple[dict[str, Any] | None, str]:
    """Columns of one clip's targets, or why they can't be had."""
    from geovr.data.targets import read_targets
    from geovr.errors import LostObject

    try:
        return _columns(read_targets(store, row), clip), ""
    except LostObject as error:  # a store that fails says nothing about the data
        return None, str(error)
    except (ValueError, KeyError, IndexError) as error:
        # a tensor is missing or empty
        reason = f"{store.uri_of(row.object_key)}: {type(error).__name__}: {error}"
        return None, f"{reason}; delete it, run extract_targets again"


def _columns(found: GeometryTargets, clip: Any) -> dict[str, Any]:
    import numpy as np

    pose, depth = found.pose_encoding_TK, found.depth_THW
    finite = np.isfinite(depth)
    fov = np.degrees(pose[:, 7:])
    features = found.features_NTHWC
    # no temporary of the features' size, which takes longer than the sum
    norms = np.einsum("nthwc,nthwc->nthw", features, features)
    counts = {len(pose), len(depth), len(found.confidence_THW), found.features_NTHWC.shape[1]}
    expected = counts if clip is None else {int(clip.num_frames)}
    fault = f"{sorted(counts)} frames, the clip has {sorted(expected)}"
    return {
        "frames_fault": "" if counts == expected else fault,
        "depth_finite": float(finite.mean()),
        "depth_min": float(depth.min(where=finite, initial=np.inf)),
        "depth_max": float(depth.max(where=finite, initial=-np.inf)),
        "pose_finite": bool(np.isfinite(pose).all()),
        "quaternion_error": float(np.abs(np.linalg.norm(pose[:, 3:7], axis=-1) - 1).max()),
        "first_pose_error": float(np.abs(pose[0, :7] - [0, 0, 0, 0, 0, 0, 1]).max()),
        "fov_min": float(fov.min()),
        "fov_max": float(fov.max()),
        "scale": found.metric_scale,
        "scale_valid": found.metric_scale_valid,
        "confidence_max": float(found.confidence_THW.max()),
        "features_alive": bool(np.isfinite(norms).all() and (norms > 0).all()),
    }
