"""A reconstruction against the room that `geovr simulate` rendered.

Shape suffixes: N frames of the video, T sampled frames, H W pixels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from geovr.data.clips import Clip
from geovr.errors import UserError
from geovr.geometry.depth import unproject
from geovr.inspection.cloud import world_points
from geovr.inspection.loading import Geometry

_ON_WALL_M = 0.005


@dataclass(frozen=True)
class RoomErrors:
    """Distances in metres, medians over all pixels.

    Attributes:
        walls: of points that see the floor, the ceiling or a wall, to the nearest of these.
        points: to the very point that the pixel sees.
        diagonal: of the room, for scale.
    """

    walls: float
    points: float
    diagonal: float


def room_errors(geometry: Geometry, clip: Clip, ground_truth: Path) -> RoomErrors:
    """How far a reconstruction is from its room.

    Args:
        geometry: of all frames of the clip, in metres by its own scale.
        clip: the clip.
        ground_truth: directory that `geovr simulate` wrote.

    Raises:
        UserError: when it doesn't hold the clip's scene, or frames and geometry differ.
    """
    from safetensors import safe_open

    path = ground_truth / f"{clip.scene}.safetensors"
    if not path.is_file():
        raise UserError(
            f"{path}: missing; give the ground_truth directory that `geovr simulate` wrote"
        )
    with safe_open(path, framework="np") as file:
        record = json.loads(file.metadata()["record"])
        camera_N44 = file.get_tensor("camera_from_world_N44").astype(np.float64)
        intrinsics_N33 = file.get_tensor("intrinsics_N33").astype(np.float64)
        depth_NHW = file.get_tensor("depth_NHW").astype(np.float64)
    if len(geometry.depth_THW) != len(clip.frame_indices_T):
        raise UserError(f"{clip.clip_id}: the model pairs frames, so its depth is not each frame's")
    chosen = clip.frame_indices_T
    true = unproject(
        *(torch.from_numpy(x[chosen]) for x in (depth_NHW, intrinsics_N33, camera_N44))
    ).numpy()
    height, width = geometry.depth_THW.shape[1:]
    if true.shape[1:3] != (height, width):
        # the pixel of the ground truth under each pixel of the geometry
        rows, columns = (
            ((np.arange(n) + 0.5) * m / n).astype(int)
            for n, m in ((height, true.shape[1]), (width, true.shape[2]))
        )
        true = true[:, rows][:, :, columns]
    first_from_room = camera_N44[chosen[0]]
    rotation, translation = first_from_room[:3, :3], first_from_room[:3, 3]
    found = (world_points(geometry) - translation) @ rotation
    room = record["room"]
    sides = np.asarray([room["width"], room["depth"], room["height"]])
    walls = distance_to_box(true, sides) < _ON_WALL_M
    return RoomErrors(
        walls=float(np.median(distance_to_box(found, sides)[walls])),
        points=float(np.median(np.linalg.norm(found - true, axis=-1))),
        diagonal=float(np.linalg.norm(sides)),
    )


def distance_to_box(points: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Distance (...) of points (..., 3) to the surface of a room, from inside or outside.

    The room stands on z = 0 with its floor's centre at the origin.
    """
    half = sides / 2
    offset = np.abs(points - np.asarray([0.0, 0.0, half[2]])) - half
    outside = np.linalg.norm(np.maximum(offset, 0.0), axis=-1)
    inside = np.minimum(offset.max(-1), 0.0)
    distance: np.ndarray = np.abs(outside + inside)
    return distance
