"""`geovr inspect`: one clip in numbers and in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from geovr.artifacts import Checkpoint, ClipSet, TargetSet
from geovr.geometry.errors import abs_rel, rotation_error_deg, translation_direction_error_deg
from geovr.inspection import pictures
from geovr.inspection.cloud import camera_centres
from geovr.inspection.loading import Geometry, load_clip, predicted, taught

Numbers = dict[str, Any]


def inspect_clip(clips: ClipSet, clip_id: str | None, picture: Path) -> Numbers:
    """Frames of a clip and the questions about it."""
    clip = load_clip(clips, clip_id)
    height, width = clip.frames_THWC.shape[1:3]
    asked = clips.questions[clips.questions["clip_id"] == clip.clip_id]
    figure = pictures.draw_clip(clip.frames_THWC, clip.timestamps_T, clip.clip_id)
    pictures.save(figure, picture)
    return {
        "clip": clip.clip_id,
        "scene": clip.scene,
        "frames": len(clip.frames_THWC),
        "size": f"{width}x{height}",
        "seconds": f"{clip.timestamps_T[0]:.2f} to {clip.timestamps_T[-1]:.2f}",
        "moving": clip.moving,
        "video sha256": clip.video_sha256,
        "questions": {f"{q.kind}: {q.question}": q.answer for q in asked.itertuples(index=False)},
    }


def inspect_targets(
    clips: ClipSet, targets: TargetSet, clip_id: str | None, picture: Path
) -> Numbers:
    """What the teacher says about a clip."""
    clip = load_clip(clips, clip_id or min(targets.index["clip_id"]))
    geometry = taught(targets, clip)
    figure = pictures.draw_geometry([geometry], f"{clip.clip_id}: {geometry.source}")
    pictures.save(figure, picture)
    return {"clip": clip.clip_id, **numbers(geometry)}


def inspect_checkpoint(
    checkpoint: Checkpoint,
    clips: ClipSet,
    targets: TargetSet | None,
    clip_id: str | None,
    picture: Path,
) -> Numbers:
    """What a model's own heads say about a clip, beside its teacher where there is one."""
    if clip_id is None and targets is not None:
        clip_id = min(targets.index["clip_id"])
    clip = load_clip(clips, clip_id)
    said = [predicted(checkpoint, clips, clip)]
    told = {"clip": clip.clip_id, **numbers(said[0])}
    if targets is not None and clip.clip_id in set(targets.index["clip_id"]):
        truth = taught(targets, clip)
        said.append(truth)
        if truth.depth_THW.shape == said[0].depth_THW.shape:
            told |= errors(said[0], truth)
    title = f"{clip.clip_id}: {' and '.join(one.source for one in said)}"
    pictures.save(pictures.draw_geometry(said, title), picture)
    return told


def numbers(geometry: Geometry) -> Numbers:
    """Depth, field of view, way and scale, in metres where the scale is known."""
    scale = geometry.metric_scale or 1.0
    unit = "m" if geometry.metric_scale else "units"
    depth = geometry.depth_THW[np.isfinite(geometry.depth_THW)] * scale
    steps = np.diff(camera_centres(geometry), axis=0)
    fov = np.degrees(geometry.pose_TK[:, 7:].mean(0))
    told: Numbers = {
        "source": geometry.source,
        f"depth ({unit})": f"{depth.min():.2f} to {depth.max():.2f}, median {np.median(depth):.2f}",
        "field of view (degrees)": f"{fov[1]:.1f} across, {fov[0]:.1f} down",
        f"camera's way ({unit})": f"{np.linalg.norm(steps, axis=1).sum():.2f}",
        "metric scale": "unknown" if geometry.metric_scale is None else f"{scale:.4f}",
    }
    if geometry.confidence_THW is not None:
        told["confidence"] = f"mean {geometry.confidence_THW.mean():.2f}"
    if geometry.features is not None:
        told["features"] = " ".join(str(tuple(level.shape)) for level in geometry.features)
    return told


def errors(said: Geometry, truth: Geometry) -> Numbers:
    """How far a prediction is from its teacher."""

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float64))

    poses = tensor(said.pose_TK), tensor(truth.pose_TK)
    told: Numbers = {
        "depth AbsRel": f"{abs_rel(tensor(said.depth_THW), tensor(truth.depth_THW)):.3f}",
        "rotation error (degrees)": f"{rotation_error_deg(*poses).mean():.2f}",
        "direction error (degrees)": f"{translation_direction_error_deg(*poses).mean():.2f}",
    }
    if said.metric_scale is not None and truth.metric_scale is not None:
        told["scale error"] = f"{abs(said.metric_scale / truth.metric_scale - 1):.1%}"
    return told
