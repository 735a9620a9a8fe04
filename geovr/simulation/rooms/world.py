"""What a furnished room is, and what a camera saw of it.

World: metres, z up, the floor is z = 0. Cameras: OpenCV axes, camera-from-world, one for a frame.
Legend: V vertices, F faces, P corners of the floor, N frames, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Thing:
    """A piece of furniture in the room."""

    category: str
    vertices_V3: FloatArray
    faces_F3: IntArray
    colour_F3: Float32Array
    centre_3: FloatArray
    size_3: tuple[float, float, float]
    yaw: float
    source: dict[str, str] | None = None
