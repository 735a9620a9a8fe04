"""Questions that refer to pieces of furniture, about scenes of the presets demo and study.

They are those of the furnished rooms (geovr/simulation/rooms/questions), asked from what a scene's
ground truth file tells, so that scenes rendered before there were any are asked about as well. A
control that needs no geometry goes with them: how many kinds of furniture there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geovr.simulation.furniture import unit_mesh
from geovr.simulation.question import Question
from geovr.simulation.questions import hidden_categories
from geovr.simulation.record import (
    ObjectQuestions,
    Record,
    object_questions_key,
    object_questions_path,
    truth_path,
)
from geovr.simulation.rooms.questions import Asked, ask
from geovr.simulation.rooms.world import FurnishedRoom, Model, Seen, Thing
from geovr.storage import write_atomic

CAPS = {
    "object_abs_distance": 1,
    "object_size_estimation": 1,
    "object_rel_distance": 1,
    "object_rel_direction_easy": 1,
    "object_rel_direction_medium": 1,
    "object_rel_direction_hard": 1,
    "obj_appearance_order": 1,
}
"""Most questions of a kind about one scene.

object_counting and room_size_estimation are among the eight kinds that every scene is asked.
route_planning isn't supported: a route needs three things with a name of their own and free floor
in straight lines between them, but most of a room's 3 to 5 categories have several pieces, and the
camera's own way takes the free floor: of 200 scenes 6 had a route, nearly always of a single turn.
"""
CATEGORY_COUNTING = "category_counting"
KINDS = (*CAPS, CATEGORY_COUNTING)
OPTIONS = 2
"""Categories to choose among or put in order. VSI-Bench has four; a room of 3 to 5 categories, all
pieces of which must be clearly shown in 8 frames, has so many once in a hundred scenes.
"""
STREAM = 1
"""Told after a scene's own entropy, so that these questions draw nothing from what renders it."""
INDEX = 2
"""Place of the scene's number in that entropy: seed, split, index, attempt."""


def ask_scene(record: Record, output: Path) -> ObjectQuestions:
    """Ask about a scene whose files stand, and write what was asked beside them.

    Args:
        record: of the scene.
        output: directory of all scenes.
    """
    from safetensors.numpy import load_file

    asked = ask_objects(record, load_file(truth_path(output, record["scene"])))
    told: ObjectQuestions = {
        "key": object_questions_key(record),
        "questions": [asdict(question) for question in asked.questions],
        "refused": asked.refused,
    }
    data = json.dumps(told, sort_keys=True) + "\n"
    write_atomic(object_questions_path(output, record["scene"]), data.encode())
    # what a later run reads: no tuples, keys sorted
    written: ObjectQuestions = json.loads(data)
    return written


def ask_objects(record: Record, tensors: Mapping[str, npt.NDArray[Any]]) -> Asked:
    """At most one question of each kind, in the order of KINDS.

    Args:
        record: of the scene, as its ground truth file has it.
        tensors: of that file.
    """
    seen = Seen(
        np.asarray(tensors["camera_from_world_N44"], np.float64),
        np.asarray(tensors["intrinsics_N33"][0], np.float64),
        tensors["depth_NHW"],
        tensors["instance_NHW"],
        tensors["timestamps_N"],
    )
    rng = np.random.default_rng([*record["seed"], STREAM])
    index = record["seed"][INDEX]
    asked = ask(furnished_room(record), seen, rng, index, CAPS, OPTIONS, draw_others=True)
    kinds = _category_counting(record, seen)
    if isinstance(kinds, Question):
        return Asked((*asked.questions, kinds), asked.refused)
    return Asked(asked.questions, asked.refused | {CATEGORY_COUNTING: {kinds: 1}})


def furnished_room(record: Record) -> FurnishedRoom:
    """The room of a record, with its pieces' meshes; without a shell, which no question needs."""
    x, y = record["room"]["width"] / 2, record["room"]["depth"] / 2
    floor_P2 = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    things = tuple(_thing(told) for told in record["objects"])
    return FurnishedRoom(floor_P2, record["room"]["height"], things, shell=None)


def _thing(told: Mapping[str, Any]) -> Thing:
    vertices_V3, faces_F3 = unit_mesh(told["category"])
    width, depth, height = told["size"]
    colour_F3 = np.zeros((len(faces_F3), 3), np.float32)  # no question looks at it
    scaled_V3 = vertices_V3 * np.array(told["size"])
    model = Model(told["category"], scaled_V3, faces_F3, colour_F3, (width, depth, height))
    x, y, _ = told["centre"]
    return model.placed(x, y, float(np.radians(told["yaw_degrees"])))


def _category_counting(record: Record, seen: Seen) -> Question | str:
    """The question, or why it isn't asked."""
    categories = [told["category"] for told in record["objects"]]
    if hidden_categories(categories, seen.instance_NHW):
        return "a piece is not shown clearly"
    question = "How many kinds of furniture does the video show?"
    return Question(CATEGORY_COUNTING, question, None, str(len(set(categories))))
