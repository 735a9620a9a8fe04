"""The camera's walk: a smooth arc through the room at a stable eye height.

World frame of a room: metres, z up, the floor is z = 0 and the origin is the floor's centre.
Camera frame: OpenCV (x right, y down, z forward); poses are camera-from-world.
Legend: N frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

EYE_HEIGHT_M = 1.5
WALL_CLEARANCE_M = 0.55
SMALL_TURN_DEG = (90.0, 138.0)
LARGE_TURN_DEG = (162.0, 320.0)
HFOV_DEG = (80.0, 98.0)
PITCH_DEG = (12.0, 25.0)


@dataclass(frozen=True)
class Walk:
    """Poses (N, 4, 4) camera-from-world, the horizontal field of view in radians, and a dense
    trace (M, 2) of the path on the floor, from which furniture keeps its distance.
    """

    camera_from_world_N44: FloatArray
    hfov: float
    trace_M2: FloatArray


def look(position_3: FloatArray, yaw: float, pitch_down: float) -> FloatArray:
    """Camera-from-world (4, 4) of a level camera; angles in radians, yaw counter-clockwise."""
    forward = np.array(
        [
            np.cos(yaw) * np.cos(pitch_down),
            np.sin(yaw) * np.cos(pitch_down),
            -np.sin(pitch_down),
        ]
    )
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3] = rotation
    # Summed by hand: BLAS may round differently with another thread count.
    pose[:3, 3] = -(rotation * position_3).sum(axis=1)
    return pose


def sample_walk(
    rng: np.random.Generator, width: float, depth: float, frames: int, turn_class: int
) -> Walk:
    """A walk of `frames` poses in a room of width (x) by depth (y) metres.

    `turn_class` 0..3 draws the turn from: left large, left small, right small, right large, so
    that the four answers to the turn question come equally often.
    """
    low, high = LARGE_TURN_DEG if turn_class in (0, 3) else SMALL_TURN_DEG
    arc = np.radians(rng.uniform(low, high)) * (1.0 if turn_class < 2 else -1.0)
    axis_x = (width / 2 - WALL_CLEARANCE_M) * rng.uniform(0.72, 0.92)
    axis_y = (depth / 2 - WALL_CLEARANCE_M) * rng.uniform(0.72, 0.92)
    phase, wobble_phase, sway_phase, pace_phase = rng.uniform(0, 2 * np.pi, 4)
    wobble = rng.uniform(0.0, 0.03)
    sway = np.radians(rng.uniform(0.0, 3.0))
    pace = rng.uniform(0.0, 0.05)
    look_offset = np.radians(rng.uniform(-12.0, 12.0))
    pitch = np.radians(rng.uniform(*PITCH_DEG))
    hfov = float(np.radians(rng.uniform(*HFOV_DEG)))

    def place(time: FloatArray) -> FloatArray:
        angle = phase + arc * (time + pace * np.sin(2 * np.pi * time + pace_phase))
        radius = 1.0 + wobble * np.sin(3 * np.pi * time + wobble_phase)
        return np.stack([axis_x * radius * np.cos(angle), axis_y * radius * np.sin(angle)], -1)

    time_N = np.linspace(0.0, 1.0, frames)
    position_N2 = place(time_N)
    inward_N = np.arctan2(-position_N2[:, 1], -position_N2[:, 0])
    yaw_N = inward_N + look_offset + sway * np.sin(2 * np.pi * time_N + sway_phase)
    poses = [
        look(np.array([x, y, EYE_HEIGHT_M]), float(yaw), float(pitch))
        for (x, y), yaw in zip(position_N2, yaw_N, strict=True)
    ]
    return Walk(np.stack(poses), hfov, place(np.linspace(0.0, 1.0, 4 * frames + 1)))
