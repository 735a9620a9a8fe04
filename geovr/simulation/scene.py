"""One scene: drawn, rendered, encoded, asked about and written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geovr.simulation.layouts import DATASET
from geovr.simulation.question import Question
from geovr.simulation.questions import KINDS, Truth, ask
from geovr.simulation.record import Record, SceneSpec
from geovr.simulation.render import Hits, cast, shade
from geovr.simulation.room import Room, piece_colour, sample_room
from geovr.simulation.walk import Walk
from geovr.simulation.writing import write_scene

LEAST_QUESTIONS = 5
WANTED_ATTEMPTS, MOST_ATTEMPTS = 4, 40


@dataclass(frozen=True)
class _Drawn:
    room: Room
    walk: Walk
    hits: Hits
    questions: tuple[Question, ...]
    attempt: int
    rng: np.random.Generator


def make_scene(spec: SceneSpec, output: Path) -> Record:
    """Make one scene's files and give its record."""
    drawn = _draw(spec)
    walk, hits = drawn.walk, drawn.hits
    tensors: dict[str, npt.NDArray[Any]] = {
        "camera_from_world_N44": walk.camera_from_world_N44.astype(np.float32),
        "intrinsics_N33": hits.intrinsics_N33.astype(np.float32),
        "depth_NHW": hits.depth_NHW,
        "instance_NHW": hits.instance_NHW,
    }
    rgb_NHWC = shade(drawn.room, hits, drawn.rng)
    return write_scene(spec, output, rgb_NHWC, tensors, _record(spec, drawn))


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
