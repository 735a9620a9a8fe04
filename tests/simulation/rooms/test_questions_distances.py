"""Distances between surfaces, computed again from points sown densely over them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from geovr.simulation.rooms.questions.surfaces import Surface, surface_distance
from geovr.simulation.rooms.world import FurnishedRoom, Thing
from tests.simulation.rooms.checks import DISTANCE, sown
from tests.simulation.rooms.worlds import (
    CEILING,
    Case,
    box,
    case,
    painted,
    rectangle,
)


def soup(rng: np.random.Generator, triangles: int) -> tuple[np.ndarray, np.ndarray]:
    corners = rng.normal(size=(triangles, 1, 3)) + 0.4 * rng.normal(size=(triangles, 3, 3))
    return corners.reshape(-1, 3), np.arange(3 * triangles).reshape(-1, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 80), st.floats(0.0, 6.0))
def test_any_two_meshes_distance_is_that_of_sown_points(
    seed: int, one: int, two: int, apart: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = soup(rng, one), soup(rng, two)
    b = (b[0] + np.array([apart, 0.3, -0.2]), b[1])
    spacing = 0.04
    sampled = cKDTree(sown(*a, spacing)).query(sown(*b, spacing))[0].min()
    exact = surface_distance(Surface.of(*a), Surface.of(*b))
    assert sampled - 2 * spacing <= exact <= sampled + 1e-9
    assert surface_distance(Surface.of(*b), Surface.of(*a)) == pytest.approx(exact, abs=1e-9)


def test_distances_of_known_pairs() -> None:
    def of(thing: Thing) -> Surface:
        return Surface.of(thing.vertices_V3, thing.faces_F3)

    cube = box("cube", 0, 0, (1, 1, 1))
    assert surface_distance(of(cube), of(box("b", 3, 0, (1, 1, 1)))) == pytest.approx(2.0)
    corner = box("b", 2, 2, (1, 1, 1), z=2)
    assert surface_distance(of(cube), of(corner)) == pytest.approx(np.sqrt(3))
    edge = box("b", 2, 0, (np.sqrt(0.5), np.sqrt(0.5), 3), yaw=np.pi / 4)
    assert surface_distance(of(cube), of(edge)) == pytest.approx(1.0)
    pole = box("pole", 0.1, 0.2, (0.1, 0.1, 9), z=-4)  # through the cube, no vertex near it
    assert surface_distance(of(cube), of(pole)) == 0.0
    inside = box("inside", 0, 0, (0.2, 0.2, 0.2), z=0.4)
    assert surface_distance(of(cube), of(inside)) == pytest.approx(0.4)
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    ball = Surface.of(np.asarray(ball.vertices) + np.array([0.0, 0.0, 2.5]), np.asarray(ball.faces))
    assert surface_distance(of(cube), ball) == pytest.approx(1.0, abs=1e-6)


def around(distances: list[float]) -> Case:
    """A table, and things whose nearest points are so far from it, in four directions."""
    things = [box("table", 0, 0, (0.4, 0.4, 0.7))]
    for index, (name, away) in enumerate(
        zip(("sofa", "lamp", "bed", "desk"), distances, strict=True)
    ):
        at = (0.2 + away + 0.2) * 1j**index
        things.append(box(name, at.real, at.imag, (0.4, 0.4, 0.6)))
    room = FurnishedRoom(rectangle(9, 9), CEILING, tuple(things), None)
    return case(room, painted(room))


def closest_to_table(world: Case) -> list[str]:
    asked = world.of_kind("object_rel_distance")
    return [q.answer for q in asked if "closest to the table?" in q.question]


def test_the_closest_is_asked_for_only_when_it_leads_by_a_margin() -> None:
    assert closest_to_table(around([1.0, 1.5, 2.0, 2.5]))
    assert not closest_to_table(around([1.0, 1.1, 2.0, 2.5]))
    assert not closest_to_table(around([2.0, 2.3, 2.9, 2.9]))  # 0.3 m, but under a fifth


def test_things_that_almost_touch_have_no_distance_to_guess() -> None:
    world = around([0.2, 1.5, 2.0, 2.5])
    pairs = [
        set(re.search(DISTANCE, q.question).groups()) for q in world.of_kind("object_abs_distance")
    ]
    assert pairs and {"table", "sofa"} not in pairs
    assert world.asked.refused["object_abs_distance"]["nearer than 0.3 m"] == 1
