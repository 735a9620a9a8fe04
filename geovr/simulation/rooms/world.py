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
    """A piece of furniture where it stands."""

    category: str  # as questions name it, singular, lower case: "chair", "trash bin"
    vertices_V3: FloatArray  # world, metres
    faces_F3: IntArray
    colour_F3: Float32Array  # linear reflectance of each face
    centre_3: FloatArray  # centre of its oriented box
    size_3: tuple[float, float, float]  # width, depth, height along the thing's own axes, metres
    yaw: float  # radians, counter-clockwise about z; its front looks along -y before turning
    source: dict[str, str] | None = None  # model, author, licence, for catalogue models


@dataclass(frozen=True)
class Model:
    """A piece with its mesh: footprint centred on the origin, z from 0, front towards -y."""

    category: str
    vertices_V3: FloatArray
    faces_F3: IntArray
    colour_F3: Float32Array
    size_3: tuple[float, float, float]
    source: dict[str, str] | None = None

    def placed(self, x: float, y: float, yaw: float) -> Thing:
        """The model standing on the floor at (x, y), turned counter-clockwise by `yaw` radians."""
        cosine, sine = np.cos(yaw), np.sin(yaw)
        vertices_V3 = np.stack(
            [
                cosine * self.vertices_V3[:, 0] - sine * self.vertices_V3[:, 1] + x,
                sine * self.vertices_V3[:, 0] + cosine * self.vertices_V3[:, 1] + y,
                self.vertices_V3[:, 2],
            ],
            axis=1,
        )
        centre_3 = np.array([x, y, self.size_3[2] / 2])
        return Thing(
            self.category,
            vertices_V3,
            self.faces_F3,
            self.colour_F3,
            centre_3,
            self.size_3,
            yaw,
            self.source,
        )


@dataclass(frozen=True)
class FurnishedRoom:
    """A room with its furniture; doors and windows are part of the shell, not things."""

    floor_P2: FloatArray  # corners, counter-clockwise; right angles only (rectangle or L)
    height: float
    things: tuple[Thing, ...]
    shell: Any  # the renderer's own: textured floor, walls, ceiling, doors, windows


@dataclass(frozen=True)
class Seen:
    """What a camera saw of a room."""

    camera_from_world_N44: FloatArray
    intrinsics_33: FloatArray
    depth_NHW: Float32Array  # z-depth, metres
    instance_NHW: npt.NDArray[np.uint8]  # 0 is the shell, k is things[k - 1]
    timestamps_N: FloatArray  # seconds
