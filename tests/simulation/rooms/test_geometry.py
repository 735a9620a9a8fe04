"""Furnished rooms: nothing stands in anything, walks are free, depth and instances are exact."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import lru_cache

import numpy as np
import pytest
import trimesh

from geovr.simulation.record import SceneSpec
from geovr.simulation.rooms import render
from geovr.simulation.rooms.furniture import FORMS, draw
from geovr.simulation.rooms.scene import Drawn, draw_scene
from geovr.simulation.rooms.world import Thing

SCENES = 8

HEIGHTS_M = {
    "chair": (0.75, 1.0), "stool": (0.4, 0.75), "table": (0.65, 0.85), "desk": (0.65, 0.85),
    "sofa": (0.65, 1.0), "bed": (0.7, 1.3), "nightstand": (0.4, 0.7), "dresser": (0.7, 1.2),
    "wardrobe": (1.7, 2.3), "bookshelf": (1.3, 2.2), "lamp": (1.2, 1.9), "plant": (0.6, 1.7),
    "tv": (0.7, 1.6), "trash bin": (0.25, 0.7), "suitcase": (0.5, 0.8), "refrigerator": (1.5, 2.0),
    "stove": (0.8, 1.0), "washing machine": (0.8, 0.9), "sink": (0.9, 1.15), "toilet": (0.7, 0.9),
    "bathtub": (0.5, 0.85),
}  # fmt: skip
"""What is common in homes; a table of its own, not the simulator's."""


@lru_cache(maxsize=SCENES)
def drawn(index: int) -> Drawn:
    return draw_scene(SceneSpec(7, "train", index, 24, 4, 48, 64, "rooms"), None)[0]


every_room = pytest.mark.parametrize("index", range(SCENES))


def test_there_are_many_categories_of_plausible_sizes() -> None:
    assert len(FORMS) >= 14 and set(FORMS) == set(HEIGHTS_M)
    for category in FORMS:
        bodies = [draw(category, np.random.default_rng(seed)) for seed in range(20)]
        low, high = HEIGHTS_M[category]
        assert all(low <= body.size_3[2] <= high for body in bodies), category
        assert len({body.size_3 for body in bodies}) == 20, f"every {category} is alike"
        for body in bodies[:3]:
            mesh = trimesh.Trimesh(body.vertices_V3, body.faces_F3, process=False)
            np.testing.assert_allclose(mesh.extents, body.size_3, atol=1e-9)
            np.testing.assert_allclose(mesh.bounds.mean(axis=0)[:2], 0, atol=1e-9)
            assert mesh.bounds[0, 2] == pytest.approx(0, abs=1e-9)
            assert len(body.colour_F3) == len(body.faces_F3)
            assert float(body.colour_F3.min()) > 0 and float(body.colour_F3.max()) < 1


def test_rooms_differ_and_some_hold_several_of_a_kind() -> None:
    rooms = [drawn(index) for index in range(SCENES)]
    assert len({room.plan.type for room in rooms}) >= 3
    assert any(room.plan.notch is not None for room in rooms)
    assert any(room.plan.notch is None for room in rooms)
    counts = [Counter(thing.category for thing in room.room.things) for room in rooms]
    assert sum(max(count.values()) >= 2 for count in counts) >= SCENES // 2
    assert all(
        {opening.kind for opening in room.plan.openings} == {"door", "window"} for room in rooms
    )


def outline(thing: Thing) -> np.ndarray:
    """Corners of the thing's footprint from its vertices alone, in its own turned frame."""
    cos, sin = np.cos(thing.yaw), np.sin(thing.yaw)
    turn = np.array([[cos, -sin], [sin, cos]])
    own = thing.vertices_V3[:, :2] @ turn
    (x0, y0), (x1, y1) = own.min(axis=0), own.max(axis=0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) @ turn.T


def overlap_area(one: np.ndarray, other: np.ndarray) -> float:
    """Area of the intersection of two convex polygons, clipped edge by edge."""
    polygon = list(one)
    for begin, end in zip(other, np.roll(other, -1, axis=0), strict=True):
        side = [(end[0] - begin[0]) * (p[1] - begin[1]) - (end[1] - begin[1]) * (p[0] - begin[0])
                for p in polygon]  # fmt: skip
        clipped = []
        for k, point in enumerate(polygon):
            after = (k + 1) % len(polygon)
            if side[k] >= 0:
                clipped.append(point)
            if (side[k] >= 0) != (side[after] >= 0):
                share = side[k] / (side[k] - side[after])
                clipped.append(point + share * (polygon[after] - point))
        polygon = clipped
        if not polygon:
            return 0.0
    x, y = np.array(polygon).T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


def winds_around(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether points lie strictly inside, by the sum of angles under which edges are seen."""
    one = polygon[None] - points[:, None]
    other = np.roll(one, -1, axis=1)
    cross = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return np.abs(np.arctan2(cross, (one * other).sum(axis=-1)).sum(axis=1)) > np.pi


def gap(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Metres from points to a polygon's edges."""
    begin, along = polygon, np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None] - begin[None]
    share = np.clip((offset * along).sum(axis=-1) / (along * along).sum(axis=-1), 0, 1)
    return np.linalg.norm(offset - share[..., None] * along, axis=-1).min(axis=1)


@every_room
def test_nothing_stands_in_anything_or_in_a_wall(index: int) -> None:
    room = drawn(index).room
    for one, other in itertools.combinations(room.things, 2):
        area = overlap_area(outline(one), outline(other))
        assert area < 1e-9, f"{one.category} and {other.category}"
    for thing in room.things:
        assert thing.vertices_V3[:, 2].min() >= -1e-9
        assert thing.vertices_V3[:, 2].max() < room.height
        assert winds_around(room.floor_P2, thing.vertices_V3[:, :2]).all(), thing.category
        assert not winds_around(outline(thing), room.floor_P2).any(), thing.category


@every_room
def test_the_walk_is_free_smooth_and_at_eye_height(index: int) -> None:
    seen = drawn(index)
    poses = seen.walk.camera_from_world_N44
    rotation = poses[:, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1) - np.eye(3), 0, atol=1e-9)
    centre = -(rotation.transpose(0, 2, 1) @ poses[:, :3, 3:])[:, :, 0]
    assert centre[:, 2].min() >= 1.3 and centre[:, 2].max() <= 1.8
    place = centre[:, :2]
    assert winds_around(seen.room.floor_P2, place).all()
    assert gap(seen.room.floor_P2, place).min() >= 0.15, "a shoulder in the wall"
    for thing in seen.room.things:
        assert not winds_around(outline(thing), place).any(), f"in a {thing.category}"
        assert gap(outline(thing), place).min() >= 0.15, f"a shoulder in a {thing.category}"
    assert np.linalg.norm(np.diff(centre, axis=0), axis=1).max() * 4 < 0.75
    cosine = (np.trace(rotation[1:] @ rotation[:-1].transpose(0, 2, 1), axis1=1, axis2=2) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() * 4 < 60


def test_walks_show_nearly_everything() -> None:
    shares = np.array([(drawn(k).things_seen, drawn(k).floor_seen) for k in range(SCENES)])
    assert shares.min() > 0.7 and shares.mean() > 0.85


@every_room
def test_depth_and_instances_are_those_of_the_meshes(index: int) -> None:
    """Against Möller and Trumbore's test of each ray with each triangle, in double precision."""
    seen = drawn(index)
    intrinsics = render.intrinsics(seen.walk.hfov, 12, 16)
    pose = seen.walk.camera_from_world_N44[5]
    frame = render.cast(seen.scene, pose, intrinsics, 12, 16)
    triangles = [thing.vertices_V3[thing.faces_F3] for thing in seen.room.things]
    triangles.insert(0, seen.room.shell.corners_F33)
    owner = np.repeat(np.arange(len(triangles)), [len(t) for t in triangles])
    corners = np.concatenate(triangles)
    camera = np.linalg.inv(pose)
    column, row = np.meshgrid(np.arange(16) + 0.5, np.arange(12) + 0.5)
    pixels = np.stack([column, row, np.ones_like(row)], axis=-1).reshape(-1, 3)
    rays = (camera[:3, :3] @ np.linalg.inv(intrinsics) @ pixels.T).T
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    from_corner = camera[:3, 3] - corners[:, 0]
    for number, ray in enumerate(rays):
        across = np.cross(ray, b)
        volume = (a * across).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (from_corner * across).sum(axis=1) / volume
            beside = np.cross(from_corner, a)
            v = (beside @ ray) / volume
            t = (beside * b).sum(axis=1) / volume
        hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 1e-6)
        nearest = t[hit].min()
        assert frame.depth_HW.reshape(-1)[number] == pytest.approx(nearest, abs=2e-4)
        possible = set(owner[hit][t[hit] < nearest + 1e-3])
        assert int(frame.instance_HW.reshape(-1)[number]) in possible


def test_pictures_have_shadows_and_no_holes() -> None:
    seen = drawn(0)
    intrinsics = render.intrinsics(seen.walk.hfov, 96, 128)
    frame = render.cast(seen.scene, seen.walk.camera_from_world_N44[3], intrinsics, 96, 128)
    lit = render.shade(seen.scene, frame)
    assert lit.shape == (96, 128, 3) and lit.std() > 15 and (lit.max(axis=-1) > 0).all()
    dark = render.shade(seen.scene, frame)
    np.testing.assert_array_equal(lit, dark)
