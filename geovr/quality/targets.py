"""The suite on targets, and the columns it looks at, read from the objects themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from geovr.config import Config
from geovr.quality.suites import Expectation, between, true

if TYPE_CHECKING:
    import pandas as pd

    from geovr.artifacts import ClipSet, TargetSet


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
    targets, clips, whole = "targets", "clips", "whole"
    low, high = limits.min_fov_degrees, limits.max_fov_degrees
    return [
        true(clips, "has_targets", "Every clip that is trained on has targets."),
        true(targets, "has_clip", "Targets belong to a clip of this set."),
        true(targets, "object_sound", "The object is in the store and whole."),
        true(targets, "frames_agree", "Targets and clip have the same frames."),
        between(targets, "depth_finite", 1, 1, "Depth is a finite number everywhere."),
        between(targets, "depth_min", 1e-6, None, "Surfaces lie in front of the camera."),
        between(targets, "depth_max", None, limits.max_depth, "Surfaces lie at plausible depth."),
        true(targets, "pose_finite", "Poses are finite numbers."),
        between(targets, "quaternion_error", 0, 1e-3, "Quaternions have length one."),
        between(targets, "first_pose_error", 0, 1e-3, "The first frame is the world."),
        between(targets, "fov_min", low, high, "The field of view is one of a camera."),
        between(targets, "fov_max", low, high, "The field of view is one of a camera."),
        between(
            targets, "scale", limits.min_scale, limits.max_scale, "The metric scale is plausible."
        ),
        between(targets, "confidence_max", 0, 1, "Confidence is a share."),
        true(targets, "features_alive", "Features are finite, and none is all zero."),
        between(
            whole,
            "undefined_scale",
            0,
            limits.max_undefined_scale,
            "Most clips have a metric scale.",
            "warning",
        ),
    ]


def tables(clips: ClipSet, targets: TargetSet) -> dict[str, pd.DataFrame]:
    """The frames that the suite looks at; `name` identifies a row."""
    import pandas as pd

    splits = set(targets.manifest.config.get("splits", ["train"]))
    wanted = clips.index[clips.index["split"].isin(splits)][["clip_id"]].copy()
    wanted["name"] = wanted["clip_id"]
    wanted["has_targets"] = wanted["clip_id"].isin(targets.index["clip_id"])
    frames = dict(zip(clips.index["clip_id"], clips.index["num_frames"], strict=True))
    store = targets.store
    rows = [_row(store, row, frames) for row in targets.index.itertuples(index=False)]
    undefined = 1 - float(targets.index["scale_valid"].mean()) if len(targets.index) else 1.0
    whole = pd.DataFrame([{"name": "the TargetSet", "undefined_scale": undefined}])
    return {"clips": wanted, "targets": pd.DataFrame(rows), "whole": whole}


def _row(store: Any, row: Any, frames: dict[str, int]) -> dict[str, Any]:
    import numpy as np

    from geovr.data.objects import BrokenObject
    from geovr.data.targets import read_targets
    from geovr.storage import StoreError

    line: dict[str, Any] = {
        "name": row.clip_id,
        "has_clip": row.clip_id in frames,
        "object_sound": True,
        "frames_agree": False,
        "depth_finite": 0.0,
        "depth_min": np.nan,
        "depth_max": np.nan,
        "pose_finite": False,
        "quaternion_error": np.nan,
        "first_pose_error": np.nan,
        "fov_min": np.nan,
        "fov_max": np.nan,
        "scale": np.nan,
        "confidence_max": np.nan,
        "features_alive": False,
    }
    try:
        found = read_targets(store, row)
    except (StoreError, BrokenObject):
        return line | {"object_sound": False}
    pose, depth = found.pose_encoding_TK, found.depth_THW
    finite = np.isfinite(depth)
    fov = np.degrees(pose[:, 7:])
    norms = np.linalg.norm(found.features_NTHWC, axis=-1)
    return line | {
        "frames_agree": len(pose) == len(depth) == frames.get(row.clip_id, -1),
        "depth_finite": float(finite.mean()),
        "depth_min": float(depth[finite].min()) if finite.any() else np.nan,
        "depth_max": float(depth[finite].max()) if finite.any() else np.nan,
        "pose_finite": bool(np.isfinite(pose).all()),
        "quaternion_error": float(np.abs(np.linalg.norm(pose[:, 3:7], axis=-1) - 1).max()),
        "first_pose_error": float(np.abs(pose[0, :7] - [0, 0, 0, 0, 0, 0, 1]).max()),
        "fov_min": float(fov.min()),
        "fov_max": float(fov.max()),
        # an undefined scale is masked out in training; 1 lets the row pass here
        "scale": found.metric_scale if found.metric_scale_valid else 1.0,
        "confidence_max": float(found.confidence_THW.max()),
        "features_alive": bool(np.isfinite(norms).all() and (norms > 0).all()),
    }
