"""Clips: the sampled frames of one video, as objects in the store, and their index.

Shape suffixes: T frames, H W pixels, C colours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from geovr.data.objects import seal, unseal
from geovr.storage import Store

CODE_VERSION = 1
"""Part of every sampler key; raise it when decoding or sampling changes what is stored."""

CLIP_COLUMNS = (
    "clip_id", "scene", "split", "kind", "moving", "video_uri", "video_sha256", "frame_indices",
    "timestamps", "num_frames", "height", "width", "duration", "object_key", "object_bytes",
    "object_sha256", "fingerprint",
)  # fmt: skip
DERIVED_COLUMNS = ("fingerprint",)
"""Follow from the object, and are no part of what the ClipSet says (data/fingerprint.py)."""
QUESTION_COLUMNS = (
    "id", "clip_id", "split", "kind", "question", "options", "answer", "source", "extra",
)  # fmt: skip
"""ClipSets of earlier versions lack `extra`, JSON of what else a benchmark's record holds."""
QUARANTINE_COLUMNS = ("what", "name", "reason", "remedy")


@dataclass(frozen=True)
class Clip:
    """Sampled frames of one video.

    Attributes:
        clip_id: unique in its ClipSet.
        scene: where it was filmed.
        video_sha256: of the source's bytes.
        frames_THWC: uint8 RGB, upright.
        timestamps_T: seconds from the video's start.
        frame_indices_T: place of each frame in the source, counted as decoded.
        moving: False for still images, which have no camera motion.
    """

    clip_id: str
    scene: str
    video_sha256: str
    frames_THWC: np.ndarray
    timestamps_T: np.ndarray
    frame_indices_T: np.ndarray
    moving: bool


def encode_clip(
    frames_THWC: np.ndarray, timestamps_T: np.ndarray, frame_indices_T: np.ndarray, duration: float
) -> bytes:
    """The object's bytes; equal frames and times give equal bytes."""
    tensors: dict[str, np.ndarray] = {
        "frames_THWC": frames_THWC.astype(np.uint8),
        "timestamps_T": timestamps_T.astype(np.float64),
        "frame_indices_T": frame_indices_T.astype(np.int64),
        "duration": np.asarray([duration], dtype=np.float64),
    }
    return seal(tensors)


def read_clip(store: Store, row: Any) -> Clip:
    """The clip that a row of a ClipSet's index names, verified."""
    tensors = unseal(store.get(row.object_key, row.object_sha256))
    return Clip(
        clip_id=row.clip_id,
        scene=row.scene,
        video_sha256=row.video_sha256,
        frames_THWC=tensors["frames_THWC"],
        timestamps_T=tensors["timestamps_T"],
        frame_indices_T=tensors["frame_indices_T"],
        moving=bool(row.moving),
    )


def index_content(rows: list[dict[str, Any]], drop: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows as JSON values without the columns that name places rather than content."""
    return [
        json.loads(json.dumps({k: v for k, v in row.items() if k not in drop}, sort_keys=True))
        for row in rows
    ]
