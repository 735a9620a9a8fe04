"""Ray casting of a room with embree: colours, exact depth and instance ids.

Legend: N frames, H W pixels, R rays (N*H*W), F faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from geovr.simulation.furniture import BY_NAME, COLOURS, unit_mesh
from geovr.simulation.room import Colour, Piece, Room
from geovr.simulation.walk import Walk

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

AMBIENT, DIFFUSE = 0.42, 0.62
STRIPE_SHADE = 0.72
NOISE = 3.0
"""Standard deviation of the pixel noise, in 8-bit steps."""

FLOOR, CEILING, WALLS_X, WALLS_Y, FURNITURE = range(5)


@dataclass(frozen=True)
class Hits:
    """What a walk's rays hit. Depth is z-depth in metres; instance 0 is the room, k is
    pieces[k - 1]; `lit_R` is the cosine between normal and light on the side that is seen.
    """

    depth_NHW: npt.NDArray[np.float32]
    instance_NHW: npt.NDArray[np.uint8]
    intrinsics_N33: FloatArray
    surface_R: npt.NDArray[np.int64]
    point_R3: Float32Array
    piece_colour_R3: Float32Array
    lit_R: Float32Array


@dataclass(frozen=True)
class _Mesh:
    corners_F33: FloatArray
    surface_F: npt.NDArray[np.int64]
    instance_F: npt.NDArray[np.int64]
    colour_F3: Float32Array


def _plane(axis: int, value: float, reach: float) -> FloatArray:
    """One huge triangle in a plane: seen from inside the room it has no edge to slip through."""
    corners_2 = np.array([[-reach, -reach], [3 * reach, -reach], [-reach, 3 * reach]])
    return np.insert(corners_2, axis, value, axis=1)


def _piece_corners(piece: Piece) -> FloatArray:
    vertices, faces = unit_mesh(piece.category)
    points = vertices * np.array(piece.size)
    for _ in range(piece.quarter_turns):
        points = np.stack([-points[:, 1], points[:, 0], points[:, 2]], axis=1)
    points[:, :2] += np.array(piece.centre_xy)
    corners_F33: FloatArray = points[faces]
    return corners_F33


def _mesh(room: Room) -> _Mesh:
    reach = room.width + room.depth + room.height
    planes = [
        (FLOOR, _plane(2, 0.0, reach)),
        (CEILING, _plane(2, room.height, reach)),
        (WALLS_X, _plane(0, -room.width / 2, reach)),
        (WALLS_X, _plane(0, room.width / 2, reach)),
        (WALLS_Y, _plane(1, -room.depth / 2, reach)),
        (WALLS_Y, _plane(1, room.depth / 2, reach)),
    ]
    pieces = [_piece_corners(piece) for piece in room.pieces]
    counts = [len(corners) for corners in pieces]
    colours = [np.array(COLOURS[BY_NAME[p.category].colour]) * p.shade for p in room.pieces]
    colour_of_piece = np.array(colours).reshape(-1, 3)
    piece_F = np.repeat(np.arange(len(pieces)), counts)
    return _Mesh(
        np.concatenate([np.stack([corners for _, corners in planes]), *pieces]),
        np.concatenate([[surface for surface, _ in planes], np.full(sum(counts), FURNITURE)]),
        np.concatenate([np.zeros(6, np.int64), piece_F + 1]),
        np.concatenate([np.zeros((6, 3)), colour_of_piece[piece_F]]).astype(np.float32),
    )


def _rays(walk: Walk, height: int, width: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Origins (N, 3), directions (N, H, W, 3) whose camera z is 1, intrinsics (N, 3, 3).

    With such directions the ray parameter of a hit is its z-depth.
    """
    focal = width / 2 / np.tan(walk.hfov / 2)
    intrinsics_33 = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    x_W = (np.arange(width) + 0.5 - width / 2) / focal
    y_H = (np.arange(height) + 0.5 - height / 2) / focal
    rotation_N33 = walk.camera_from_world_N44[:, :3, :3]
    translation_N3 = walk.camera_from_world_N44[:, :3, 3]
    origin_N3 = -(rotation_N33 * translation_N3[:, :, None]).sum(axis=1)
    right, down, forward = (rotation_N33[:, None, None, row, :] for row in range(3))
    direction_NHW3 = x_W[None, None, :, None] * right + y_H[None, :, None, None] * down + forward
    return origin_N3, direction_NHW3, np.repeat(intrinsics_33[None], len(rotation_N33), axis=0)


def cast(room: Room, walk: Walk, height: int, width: int) -> Hits:
    """Cast the rays of every frame of a walk in one batch.

    Pixel (row, column) looks through its centre (column + 0.5, row + 0.5), so unprojecting
    with the intrinsics at pixel centres gives back the surface points.

    Raises:
        RuntimeError: when the camera stands outside the room.
    """
    mesh = _mesh(room)
    origin_N3, direction_NHW3, intrinsics_N33 = _rays(walk, height, width)
    shape = (len(origin_N3), height, width)
    direction_R3 = direction_NHW3.reshape(-1, 3)
    origin_R3 = np.repeat(origin_N3, height * width, axis=0)

    scene = EmbreeScene()
    corners = np.ascontiguousarray(mesh.corners_F33.reshape(-1, 3), np.float32)
    indices = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    _geometry = TriangleMesh(scene, corners, indices)  # the scene holds no reference of its own
    hits = scene.run(origin_R3.astype(np.float32), direction_R3.astype(np.float32), output=True)
    face_R = np.asarray(hits["primID"]).astype(np.int64)
    if (face_R < 0).any():
        raise RuntimeError("a ray left a closed room: the camera stands outside its walls")

    # Embree says which face is hit; the depth is taken from the face's plane in double precision.
    edge_a_F3 = mesh.corners_F33[:, 1] - mesh.corners_F33[:, 0]
    edge_b_F3 = mesh.corners_F33[:, 2] - mesh.corners_F33[:, 0]
    normal_F3 = np.cross(edge_a_F3, edge_b_F3)
    normal_F3 /= np.sqrt((normal_F3 * normal_F3).sum(axis=1, keepdims=True))
    offset_F = (normal_F3 * mesh.corners_F33[:, 0]).sum(axis=1)
    normal_R3 = normal_F3[face_R]
    slope_R = _dot(normal_R3, direction_R3)
    depth_R = (offset_F[face_R] - _dot(normal_R3, origin_R3)) / slope_R
    point_R3 = origin_R3 + depth_R[:, None] * direction_R3
    to_light_R3 = np.array(room.lamp_xyz) - point_R3
    distance_R = np.sqrt(_dot(to_light_R3, to_light_R3))
    lit_R = -np.sign(slope_R) * _dot(normal_R3, to_light_R3) / distance_R
    return Hits(
        depth_R.astype(np.float32).reshape(shape),
        mesh.instance_F[face_R].astype(np.uint8).reshape(shape),
        intrinsics_N33,
        mesh.surface_F[face_R],
        point_R3.astype(np.float32),
        mesh.colour_F3[face_R],
        lit_R.astype(np.float32),
    )


def _dot(a_R3: FloatArray, b_R3: FloatArray) -> FloatArray:
    """Row-wise dot product, without BLAS, whose rounding may hang on the thread count."""
    products: FloatArray = (
        a_R3[:, 0] * b_R3[:, 0] + a_R3[:, 1] * b_R3[:, 1] + a_R3[:, 2] * b_R3[:, 2]
    )
    return products


def _striped(colours: Sequence[Colour]) -> FloatArray:
    """Of walls, each with its dark stripe, (2, 2, 3)."""
    return np.array([(colour, np.array(colour) * STRIPE_SHADE) for colour in colours])


def shade(room: Room, hits: Hits, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """RGB (N, H, W, 3) uint8 of what was hit: patterns, Lambert shading and pixel noise."""
    colour_R3 = hits.piece_colour_R3.copy()
    colour_R3[hits.surface_R == CEILING] = room.ceiling_colour
    # Metric tiles on the floor and stripes along the walls: what is seen of them, held against
    # the known eye height, tells sizes.
    patterns = (
        (FLOOR, (0, 1), room.tile, np.array([room.floor_colours])),
        (WALLS_X, (1,), room.stripe, _striped(room.wall_colours[:2])),
        (WALLS_Y, (0,), room.stripe, _striped(room.wall_colours[2:])),
    )
    for surface, axes, period, colours_S23 in patterns:
        row = np.flatnonzero(hits.surface_R == surface)
        step = np.zeros(len(row), np.int64)
        for axis in axes:
            step += np.floor(hits.point_R3[row, axis] / np.float32(period)).astype(np.int64)
        side = np.zeros(len(row), np.int64)
        if len(colours_S23) > 1:
            side = (hits.point_R3[row, 0 if surface == WALLS_X else 1] > 0).astype(np.int64)
        colour_R3[row] = colours_S23[side, step & 1]
    light_R = (AMBIENT + DIFFUSE * np.maximum(hits.lit_R, 0.0)) * 255.0
    noise_R3 = rng.standard_normal(colour_R3.shape, dtype=np.float32) * np.float32(NOISE)
    rgb_R3 = np.clip(colour_R3 * light_R[:, None].astype(np.float32) + noise_R3, 0, 255).round()
    return rgb_R3.astype(np.uint8).reshape(*hits.depth_NHW.shape, 3)
