"""What a furnished room is, and what a camera saw of it.

World: metres, z up, the floor is z = 0. Cameras: OpenCV axes, camera-from-world, one for a frame.
Legend: V vertices, F faces, P corners of the floor, N frames, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Thing:
    """A piece of furniture."""

    category: str  # as questions name it, singular, lower case: "chair", "trash bin"
    vertices_V3: FloatArray  # world, metres
    faces_F3: IntArray
    colour_F3: Float32Array  # linear reflectance of each face
    centre_3: FloatArray  # centre of its oriented box
    size_3: tuple[float, float, float]  # width, depth, height along the thing's own axes, metres
    yaw: float  # radians, counter-clockwise about z; its front looks along -y before turning
    source: dict[str, str] | None = None  # model, author, licence, for catalogue models


@dataclass(frozen=True)
class FurnishedRoom:
    """A room and its furniture."""

    floor_P2: FloatArray  # corners, counter-clockwise; any simple polygon with right angles
    height: float
    things: tuple[Thing, ...]  # furniture; doors and windows are part of the shell, not things
    shell: Any = None  # textured floor, walls, ceiling, doors, windows


@dataclass(frozen=True)
class Seen:
    """What a camera saw on a walk."""

    camera_from_world_N44: FloatArray
    intrinsics_33: FloatArray
    depth_NHW: Float32Array  # z-depth, metres
    instance_NHW: npt.NDArray[np.uint8]  # 0 is the shell, k is things[k - 1]
    timestamps_N: FloatArray  # seconds
