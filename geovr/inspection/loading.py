"""What there is to look at: a clip, what its teacher says, what a model says.

Shape suffixes: T frames, K=9 pose numbers, H W pixels.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from geovr.artifacts import Checkpoint, ClipSet, TargetSet
from geovr.data.clips import Clip, read_clip
from geovr.data.targets import GeometryTargets, read_targets
from geovr.errors import UserError
from geovr.inspection.heads import Heads


@dataclass(frozen=True)
class Geometry:
    """Where the camera was and how far surfaces were, by whoever says so.

    Attributes:
        source: who.
        frames_THW3: uint8, at the size of the depth.
        pose_TK: see geometry/camera.py, in the unit of the depth.
        depth_THW: in the source's own unit.
        metric_scale: metres per unit; None when it isn't known.
        confidence_THW: in [0, 1]; None where nobody says.
        features: of the shallowest to the deepest level, (T, h, w, C) each; None where absent.
        places_T: which of the clip's frames each is, where a model shows several at once; None
            where every frame is its own.
    """

    source: str
    frames_THW3: np.ndarray
    pose_TK: np.ndarray
    depth_THW: np.ndarray
    metric_scale: float | None
    confidence_THW: np.ndarray | None
    features: tuple[np.ndarray, ...] | None
    places_T: np.ndarray | None = None


def row_of(index: Any, clip_id: str | None, what: str) -> Any:
    """The row of a clip in an index, by its id or the id's end; the first when none is named.

    Raises:
        UserError: when there is no such clip, with those of similar names.
    """
    rows = {row.clip_id: row for row in index.itertuples(index=False)}
    if clip_id is None:
        return rows[min(rows)]
    ending = [known for known in rows if known.endswith(f"/{clip_id}")]
    if clip_id not in rows and len(ending) == 1:
        return rows[ending[0]]
    if clip_id not in rows:
        near = difflib.get_close_matches(clip_id, list(rows), n=3, cutoff=0.3)
        like = f"; similar: {', '.join(near)}" if near else ""
        raise UserError(f"{clip_id}: no such clip among the {len(rows)} of the {what}{like}")
    return rows[clip_id]


def load_clip(clips: ClipSet, clip_id: str | None) -> Clip:
    """A clip with its frames; the first one when none is named."""
    return read_clip(clips.store, row_of(clips.index, clip_id, "ClipSet"))


def taught(targets: TargetSet, clip: Clip) -> Geometry:
    """What the teacher says about a clip."""
    row = row_of(targets.index, clip.clip_id, "TargetSet")
    card = targets.manifest.details.get("teacher") or {}
    return as_geometry(read_targets(targets.store, row), clip, card.get("name", ""))


def as_geometry(found: GeometryTargets, clip: Clip, teacher: str) -> Geometry:
    """Targets of a clip, by the teacher of this name."""
    return Geometry(
        source=f"teacher {teacher}".strip(),
        frames_THW3=resized(clip.frames_THWC, found.depth_THW.shape[1:]),
        pose_TK=found.pose_encoding_TK,
        depth_THW=found.depth_THW,
        metric_scale=found.metric_scale if found.metric_scale_valid else None,
        confidence_THW=found.confidence_THW,
        features=tuple(found.features_NTHWC),
    )


class Predictor:
    """A checkpoint's own heads, loaded once for several clips.

    Args:
        checkpoint: whose.
        clips: where the clips are from.

    Raises:
        UserError: when it has no camera and depth heads.
    """

    def __init__(self, checkpoint: Checkpoint, clips: ClipSet) -> None:
        self._heads = Heads(checkpoint, clips)
        if not (self._heads.objectives.camera and self._heads.objectives.depth):
            raise UserError(
                f"{checkpoint.directory}: its camera or depth head was not trained; switch"
                " train.objectives.camera and .depth on"
            )

    def __call__(self, clip: Clip) -> Geometry:
        """What the heads say about a clip, at the size they were trained at.

        Raises:
            UserError: for still images, which have no camera path.
        """
        height, width = clip.frames_THWC.shape[1:3]
        (said,) = self._heads([clip.clip_id], (height, width))
        if said.pose_encoding_TK is None or said.depth_THW is None:
            raise UserError(f"{clip.clip_id}: still images have no camera path to look at")
        slots = self._heads.places(len(clip.frames_THWC))
        return Geometry(
            source="checkpoint",
            frames_THW3=resized(clip.frames_THWC[slots], said.depth_THW.shape[1:]),
            pose_TK=said.pose_encoding_TK.double().cpu().numpy(),
            depth_THW=said.depth_THW.float().cpu().numpy(),
            metric_scale=said.metric_scale,
            confidence_THW=None,
            features=tuple(x.float().cpu().numpy() for x in said.features)
            if said.features
            else None,
            places_T=slots,
        )


def predicted(checkpoint: Checkpoint, clips: ClipSet, clip: Clip) -> Geometry:
    """What a checkpoint's own heads say about one clip.

    Raises:
        UserError: when it has no camera and depth heads.
    """
    return Predictor(checkpoint, clips)(clip)


def resized(frames_THWC: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Frames at another size, uint8."""
    if frames_THWC.shape[1:3] == tuple(size):
        return frames_THWC
    frames = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(
        frames, (size[0], size[1]), mode="bilinear", align_corners=False, antialias=True
    )
    array: np.ndarray = small.permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy()
    return array
