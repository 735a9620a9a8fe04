"""All answers about random worlds and about furnished rooms, by the second computation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from geovr.simulation.record import SceneSpec
from geovr.simulation.rooms.questions import KINDS
from geovr.simulation.rooms.world import Seen
from tests.simulation.rooms.checks import CHECKS
from tests.simulation.rooms.worlds import Case, case, cases

ROOMS, FRAMES, HEIGHT, WIDTH = 6, 24, 96, 128


@pytest.mark.parametrize("kind", KINDS)
def test_answers_about_random_worlds(kind: str) -> None:
    questions = [(world, question) for world in cases() for question in world.of_kind(kind)]
    assert len(questions) >= 10
    for world, question in questions:
        CHECKS[kind](world, question)


@cache
def furnished() -> list[Case]:
    """Rooms as geovr simulate makes them, in smaller pictures."""
    from geovr.simulation.rooms import render
    from geovr.simulation.rooms.scene import draw_scene

    found = []
    for index in range(ROOMS):
        spec = SceneSpec(3, "train", index, FRAMES, 4, HEIGHT, WIDTH, "rooms")
        drawn, _ = draw_scene(spec, None)
        intrinsics = render.intrinsics(drawn.walk.hfov, HEIGHT, WIDTH)
        poses = drawn.walk.camera_from_world_N44
        frames = [render.cast(drawn.scene, pose, intrinsics, HEIGHT, WIDTH) for pose in poses]
        depth, instance = (
            np.stack([getattr(frame, name) for frame in frames])
            for name in ("depth_HW", "instance_HW")
        )
        seen = Seen(poses, intrinsics, depth, instance, np.arange(FRAMES) / 4)
        found.append(case(drawn.room, seen, index))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_answers_about_furnished_rooms(kind: str) -> None:
    questions = [(world, question) for world in furnished() for question in world.of_kind(kind)]
    assert questions
    for world, question in questions:
        CHECKS[kind](world, question)
