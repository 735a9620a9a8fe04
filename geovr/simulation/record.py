"""What a scene is asked to be, where its files stand, and how one tells that it is complete.

The ground truth file is written after the video and carries the scene's record in its header
(key, sha256 of the video, questions, objects). A scene is complete when that record is there,
has the right key and the video's bytes match; anything else is made again. Questions that refer
to its objects follow from those two files and stand in a third. This module renders nothing, so
that a run with nothing to make imports no renderer.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from geovr.config import digest
from geovr.simulation.layouts import DATASET
from geovr.storage import sha256_bytes

CODE_VERSION, ROOMS_CODE_VERSION = 3, 1
"""Part of every scene's key: raise it when anything drawn, rendered or asked changes."""
OBJECT_QUESTIONS_VERSION = 1
"""Part of the key of a scene's object questions, which stand in a file of their own: raise it when
they change, and they are asked again about scenes that stay as they are.
"""

Split = Literal["train", "test"]
Record = dict[str, Any]
ObjectQuestions = dict[str, Any]
"""key, questions, refused (by kind and reason)."""


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
    world: str = "boxes"
    """boxes: the demo's and the study's; rooms: furnished ones."""
    furniture: str | None = None
    """Digest of the furniture libraries, None for our own forms."""

    @property
    def name(self) -> str:
        """Stem of the scene's files."""
        return f"{self.split}-{self.index:05d}"

    @property
    def key(self) -> str:
        """Digest of the spec and of the version of the code that reads it."""
        values = asdict(self)
        if self.world == "boxes":  # their keys are older than the choice
            del values["world"], values["furniture"]
            return digest({"code": CODE_VERSION, **values})
        return digest({"code": ROOMS_CODE_VERSION, **values})


def video_path(output: Path, scene: str) -> Path:
    """Where a scene's video stands."""
    return output / "videos" / DATASET / f"{scene}.mp4"


def truth_path(output: Path, scene: str) -> Path:
    """Where a scene's ground truth stands."""
    return output / "ground_truth" / f"{scene}.safetensors"


def object_questions_path(output: Path, scene: str) -> Path:
    """Where the questions stand that refer to a scene's objects."""
    return output / "object_questions" / f"{scene}.json"


def object_questions_key(record: Record) -> str:
    """Digest of the scene that is asked about and of the version of the code that asks."""
    return digest({"code": OBJECT_QUESTIONS_VERSION, "scene": record["key"]})


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


def existing_object_questions(record: Record, output: Path) -> ObjectQuestions | None:
    """What was asked about a complete scene's objects; None when that has to be done."""
    try:
        told = json.loads(object_questions_path(output, record["scene"]).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    known = isinstance(told, dict) and told.get("key") == object_questions_key(record)
    return told if known else None
