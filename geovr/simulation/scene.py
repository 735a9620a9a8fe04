"""One scene: drawn, rendered, encoded, asked about and written so that half of it never counts.

The ground truth file is written after the video and carries the scene's record in its header
(key, sha256 of the video, questions, objects). A scene is complete when that record is there,
has the right key and the video's bytes match; anything else is made again.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import save

from geovr.config import canonical_json, digest
from geovr.simulation.layouts import DATASET
from geovr.simulation.questions import KINDS, Question, Truth, ask
from geovr.simulation.render import Hits, cast, shade
from geovr.simulation.room import Room, piece_colour, sample_room
from geovr.simulation.video import encode_mp4
from geovr.simulation.walk import Walk
from geovr.storage import sha256_bytes, write_atomic

CODE_VERSION = 1
"""Part of every scene's key: raise it when anything drawn, rendered or asked changes."""

LEAST_QUESTIONS = 5
WANTED_ATTEMPTS, MOST_ATTEMPTS = 4, 40

Split = Literal["train", "test"]
Record = dict[str, Any]


@dataclass(frozen=True)
class SceneSpec:
    """All that decides one scene's content."""

    seed: int
    split: Split
    index: int
    frames: int
    fps: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """Stem of the scene's files."""
        return f"{self.split}-{self.index:05d}"

    @property
    def key(self) -> str:
        """Digest of the spec and of the version of the code that reads it."""
        return digest({"code": CODE_VERSION, **asdict(self)})


@dataclass(frozen=True)
class _Drawn:
    room: Room
    walk: Walk
    hits: Hits
    questions: tuple[Question, ...]
    attempt: int
    rng: np.random.Generator


def video_path(output: Path, scene: str) -> Path:
    """Where a scene's video stands."""
    return output / "videos" / DATASET / f"{scene}.mp4"


def truth_path(output: Path, scene: str) -> Path:
    """Where a scene's ground truth stands."""
    return output / "ground_truth" / f"{scene}.safetensors"


def read_record(path: Path) -> Record | None:
    """The record in a ground truth file's header; None for a missing, foreign or cut file."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                return None
            header = json.loads(file.read(length))
        record: Record = json.loads(header.pop("__metadata__")["record"])
        end = max(tensor["data_offsets"][1] for tensor in header.values())
        return record if path.stat().st_size == 8 + length + end else None
    except (FileNotFoundError, KeyError, ValueError, struct.error):
        return None


def existing(spec: SceneSpec, output: Path) -> Record | None:
    """The record of a scene that is complete and the same as asked for."""
    record = read_record(truth_path(output, spec.name))
    if record is None or record.get("key") != spec.key:
        return None
    video = video_path(output, spec.name)
    if not video.is_file() or sha256_bytes(video.read_bytes()) != record["video_sha256"]:
        return None
    return record


def make_scene(spec: SceneSpec, output: Path) -> Record:
    """Make one scene's files and give its record."""
    drawn = _draw(spec)
    walk, hits = drawn.walk, drawn.hits
    video = encode_mp4(shade(drawn.room, hits, drawn.rng), spec.fps)
    record = _record(spec, drawn) | {"video_sha256": sha256_bytes(video)}
    tensors = {
        "camera_from_world_N44": walk.camera_from_world_N44.astype(np.float32),
        "intrinsics_N33": hits.intrinsics_N33.astype(np.float32),
        "depth_NHW": hits.depth_NHW,
        "instance_NHW": hits.instance_NHW,
        "timestamps_N": np.arange(spec.frames, dtype=np.float64) / spec.fps,
    }
    write_atomic(video_path(output, spec.name), video)
    write_atomic(
        truth_path(output, spec.name), save(tensors, metadata={"record": canonical_json(record)})
    )
    return record


def _draw(spec: SceneSpec) -> _Drawn:
    """A room of which all kinds can be asked, or the best of a few attempts."""
    best: _Drawn | None = None
    for attempt in range(MOST_ATTEMPTS):
        rng = np.random.default_rng(_entropy(spec, attempt))
        room, walk = sample_room(rng, spec.frames, turn_class=spec.index % 4)
        hits = cast(room, walk, spec.height, spec.width)
        truth = Truth(room, walk.camera_from_world_N44, hits.depth_NHW, hits.instance_NHW)
        questions = ask(truth, rng)
        if best is None or len(questions) > len(best.questions):
            best = _Drawn(room, walk, hits, questions, attempt, rng)
        enough = LEAST_QUESTIONS if attempt + 1 >= WANTED_ATTEMPTS else len(KINDS)
        if len(best.questions) >= enough:
            return best
    raise RuntimeError(f"{spec.name}: no room with {LEAST_QUESTIONS} clear questions was found")


def _entropy(spec: SceneSpec, attempt: int) -> list[int]:
    return [spec.seed, ("train", "test").index(spec.split), spec.index, attempt]


def _record(spec: SceneSpec, drawn: _Drawn) -> Record:
    room = drawn.room
    objects = [
        {
            "category": piece.category,
            "colour": piece_colour(piece),
            "centre": [*piece.centre_xy, piece.size[2] / 2],
            "size": list(piece.size),
            "yaw_degrees": 90 * piece.quarter_turns,
        }
        for piece in room.pieces
    ]
    return {
        "key": spec.key,
        "scene": spec.name,
        "split": spec.split,
        "seed": _entropy(spec, drawn.attempt),
        "room": {
            "width": room.width,
            "depth": room.depth,
            "height": room.height,
            "floor_area": room.width * room.depth,
        },
        "objects": objects,
        "frames": spec.frames,
        "fps": spec.fps,
        "height": spec.height,
        "width": spec.width,
        "video": f"videos/{DATASET}/{spec.name}.mp4",
        "ground_truth": f"ground_truth/{spec.name}.safetensors",
        "questions": [asdict(question) for question in drawn.questions],
    }
