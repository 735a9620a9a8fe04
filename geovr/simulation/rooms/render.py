"""Ray casting with embree: colours with shadows, exact depth and instance ids.

Legend: N frames, H W pixels, R rays of a frame (H*W), F faces, L lights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from geovr.simulation.rooms.shell import PANE, PLAIN, Shell, paint
from geovr.simulation.rooms.world import Float32Array, FloatArray, FurnishedRoom

AMBIENT, LAMP, WINDOW = 0.34, 2.6, 2.2
"""Brightness of what comes from everywhere, and of lights at one metre."""
LAMP_RADIUS_M, WINDOW_RADIUS_M = 0.18, 0.35
"""Lights have a size: pixels of a 4x4 block each aim at another place of it."""
CORNER_M = 0.45
"""So near to the next wall or the floor, less comes from everywhere."""


@dataclass(frozen=True)
class Scene:
    """A room in embree."""

    embree: EmbreeScene
    corners_F33: FloatArray
    normal_F3: FloatArray
    offset_F: FloatArray
    material_F: npt.NDArray[np.int64]
    colour_F3: Float32Array
    instance_F: npt.NDArray[np.uint8]
    room: FurnishedRoom
    shell: Shell


@dataclass(frozen=True)
class Frame:
    """What one frame's rays hit; depth is z-depth in metres."""

    depth_HW: Float32Array
    instance_HW: npt.NDArray[np.uint8]
    face_R: npt.NDArray[np.int64]
    point_R3: Float32Array
    direction_R3: Float32Array


def build_scene(room: FurnishedRoom) -> Scene:
    """All triangles of a room, in double precision beside embree's own."""
    shell: Shell = room.shell
    things = [thing.vertices_V3[thing.faces_F3] for thing in room.things]
    corners = np.concatenate([shell.corners_F33, *things])
    counts = [len(faces) for faces in things]
    instance = np.concatenate(
        [np.zeros(len(shell.corners_F33), np.uint8)]
        + [np.full(count, number + 1, np.uint8) for number, count in enumerate(counts)]
    )
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.sqrt((normal * normal).sum(axis=1, keepdims=True)), 1e-30)
    embree = EmbreeScene()
    flat = np.ascontiguousarray(corners.reshape(-1, 3), np.float32)
    TriangleMesh(embree, flat, np.arange(len(flat), dtype=np.int32).reshape(-1, 3))
    return Scene(
        embree, corners, normal, (normal * corners[:, 0]).sum(axis=1),
        np.concatenate([shell.material_F, np.full(sum(counts), PLAIN)]),
        np.concatenate([shell.colour_F3, *(thing.colour_F3 for thing in room.things)]),
        instance, room, shell,
    )  # fmt: skip


def intrinsics(hfov: float, height: int, width: int) -> FloatArray:
    """(3, 3) of square pixels whose centres lie at half pixels."""
    focal = width / 2 / np.tan(hfov / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def cast(scene: Scene, pose_44: FloatArray, intrinsics_33: FloatArray, height: int,
         width: int) -> Frame:  # fmt: skip
    """Cast a ray through the centre of each pixel.

    Raises:
        RuntimeError: when a ray leaves the room: the camera stands outside.
    """
    focal = intrinsics_33[0, 0]
    x_W = (np.arange(width) + 0.5 - intrinsics_33[0, 2]) / focal
    y_H = (np.arange(height) + 0.5 - intrinsics_33[1, 2]) / focal
    right, down, forward = pose_44[:3, :3]
    origin_3 = -(pose_44[:3, :3] * pose_44[:3, 3:]).sum(axis=0)
    # a camera z of one: the ray's parameter is the z-depth
    direction = x_W[None, :, None] * right + y_H[:, None, None] * down + forward
    direction_R3 = direction.reshape(-1, 3)
    origin_R3 = np.repeat(origin_3[None].astype(np.float32), len(direction_R3), axis=0)
    face_R = np.asarray(scene.embree.run(origin_R3, direction_R3.astype(np.float32))).astype(
        np.int64
    )
    if (face_R < 0).any():
        raise RuntimeError("a ray left a closed room: the camera stands outside its walls")
    # embree says which face; its plane in double precision says how far
    normal_R3 = scene.normal_F3[face_R]
    depth_R = (scene.offset_F[face_R] - normal_R3 @ origin_3) / _dot(normal_R3, direction_R3)
    point_R3 = origin_3 + depth_R[:, None] * direction_R3
    return Frame(
        depth_R.astype(np.float32).reshape(height, width),
        scene.instance_F[face_R].reshape(height, width),
        face_R, point_R3.astype(np.float32), direction_R3.astype(np.float32),
    )  # fmt: skip


def shade(scene: Scene, frame: Frame) -> npt.NDArray[np.uint8]:
    """RGB (H, W, 3) of what was hit: patterns, light from lamp and windows with shadows."""
    height, width = frame.depth_HW.shape
    normal = scene.normal_F3[frame.face_R].astype(np.float32)
    normal *= -np.sign(_dot(normal, frame.direction_R3))[:, None]
    point = frame.point_R3 + normal * np.float32(2e-3)
    material = scene.material_F[frame.face_R]
    albedo = paint(scene.shell, material, frame.point_R3, normal, scene.colour_F3[frame.face_R])
    light = _ambient(scene, point, normal)
    for middle, inward, strength, colour, radius in _lights(scene):
        to_light = middle.astype(np.float32) - point
        distance = np.sqrt(_dot(to_light, to_light))
        cosine = np.maximum(_dot(normal, to_light) / distance, 0)
        if inward is None:  # a lamp's shade keeps most of its light from the ceiling
            cosine = cosine * np.where(to_light[:, 2] < 0, np.float32(0.3), np.float32(1))
        else:
            cosine = cosine * np.maximum(-(to_light @ inward.astype(np.float32)) / distance, 0)
        aimed = _aims(middle, inward, radius, height, width) - point
        open_R = _unhindered(scene, point, aimed, cosine > 0).reshape(height, width)
        seen = _softened(open_R).reshape(-1)
        fall = np.float32(strength) / (np.float32(0.6) + distance * distance)
        light += (cosine * seen * fall)[:, None] * colour
    linear = albedo * light
    sky = material == PANE
    linear[sky] = albedo[sky]
    # what is brighter than white bends over instead of being cut off
    bent = linear / (1 + 0.25 * linear)
    return (
        (255 * np.clip(bent * 1.15, 0, 1) ** (1 / 2.2) + 0.5)
        .astype(np.uint8)
        .reshape(height, width, 3)
    )


def _lights(scene: Scene) -> list[tuple[FloatArray, FloatArray | None, float, Float32Array, float]]:
    warm, cool = np.array([1.0, 0.93, 0.82], np.float32), np.array([0.86, 0.95, 1.08], np.float32)
    found: list[tuple[FloatArray, FloatArray | None, float, Float32Array, float]] = [
        (scene.shell.lamp_3, None, LAMP, warm, LAMP_RADIUS_M)
    ]
    for middle, inward in scene.shell.windows[:2]:
        place = middle + 0.12 * inward
        found.append((place, inward, WINDOW * scene.shell.daylight, cool, WINDOW_RADIUS_M))
    return found


def _aims(middle: FloatArray, inward: FloatArray | None, radius: float, height: int,
          width: int) -> Float32Array:  # fmt: skip
    """A place on a light for every pixel, the same pattern in each 4x4 block."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    pattern = np.tile(order, (-(-height // 4), -(-width // 4)))[:height, :width].reshape(-1)
    angle, reach = pattern * 2.39996, radius * np.sqrt((pattern + 0.5) / 16)
    across = np.array([1.0, 0, 0]) if inward is None else np.array([-inward[1], inward[0], 0.0])
    along = np.array([0, 1.0, 0]) if inward is None else np.array([0, 0, 1.0])
    aims = (
        middle
        + (reach * np.cos(angle))[:, None] * across
        + (reach * np.sin(angle))[:, None] * along
    )
    found: Float32Array = aims.astype(np.float32)
    return found


def _unhindered(scene: Scene, point: Float32Array, to_light: Float32Array,
                lit: npt.NDArray[np.bool_]) -> Float32Array:  # fmt: skip
    """1 where nothing stands before the light."""
    rows = np.flatnonzero(lit)
    free = np.zeros(len(point), np.float32)
    if len(rows):
        reach = np.full(len(rows), 0.999, np.float32)
        hit = scene.embree.run(point[rows], to_light[rows], reach, query="OCCLUDED")
        free[rows] = (np.asarray(hit) == -1).astype(np.float32)
    return free


def _softened(open_HW: Float32Array) -> Float32Array:
    """Means over 4x4 pixels, in which every place of a light is aimed at once."""
    padded = np.pad(open_HW, ((2, 1), (2, 1)), mode="edge")
    rows = padded[:-3] + padded[1:-2] + padded[2:-1] + padded[3:]
    means: Float32Array = rows[:, :-3] + rows[:, 1:-2] + rows[:, 2:-1] + rows[:, 3:]
    return means / np.float32(16)


def _ambient(scene: Scene, point: Float32Array, normal: Float32Array) -> Float32Array:
    """Light from everywhere: more on what looks up, less in corners and near the floor."""
    low, high = scene.room.floor_P2.min(axis=0), scene.room.floor_P2.max(axis=0)
    xy = point[:, :2]
    near = np.minimum(xy - low.astype(np.float32), high.astype(np.float32) - xy).min(axis=1)
    near = np.minimum(near + np.abs(normal[:, :2]).max(axis=1), np.float32(CORNER_M))
    up = np.minimum(point[:, 2] + np.abs(normal[:, 2]), np.float32(CORNER_M))
    corner = (0.55 + 0.45 * np.maximum(near, 0) / CORNER_M) * (0.7 + 0.3 * up / CORNER_M)
    level = np.float32(AMBIENT) * (0.85 + 0.15 * normal[:, 2]) * corner
    light: Float32Array = level[:, None] * np.array([0.98, 0.99, 1.0], np.float32)
    return light


def _dot(a_R3: npt.NDArray[Any], b_R3: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Row-wise, without BLAS, whose rounding may hang on the thread count."""
    product: npt.NDArray[Any] = (
        a_R3[:, 0] * b_R3[:, 0] + a_R3[:, 1] * b_R3[:, 1] + a_R3[:, 2] * b_R3[:, 2]
    )
    return product
