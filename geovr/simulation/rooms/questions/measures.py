"""How many, how long, how large: object_counting, object_size_estimation, room_size_estimation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.questions.drafting import Desk
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.world import FloatArray, Seen

LEAST_COUNT = 2
STEP = 2
"""Every second pixel of every second row is looked at."""
WALL_TOLERANCE = 0.15
"""Metres from a wall's plane up to which a pixel shows that wall: sills and door leaves too."""


def ask_counts(shown: Shown, desk: Desk) -> None:
    """Categories of two things or more, all of which the clip shows clearly."""
    kind = "object_counting"
    candidates = []
    for category, count in sorted(shown.instances.items()):
        if count < LEAST_COUNT:
            desk.refuse(kind, "only one of them")
        elif category not in shown.groups:
            desk.refuse(kind, "not all of them shown clearly")
        else:
            candidates.append((f"How many {category}(s) are in this room?", str(count)))
    desk.ask_numbers(kind, candidates)


def ask_sizes(shown: Shown, desk: Desk) -> None:
    """The longest side of a thing's oriented box."""
    kind = "object_size_estimation"
    candidates = []
    for index, thing in enumerate(shown.room.things):
        if shown.instances[thing.category] > 1:
            desk.refuse(kind, "several of its name")
        elif not shown.clear_K[index]:
            desk.refuse(kind, "not shown clearly")
        else:
            question = (
                f"How long is the longest dimension (length, width, or height) of the "
                f"{thing.category}, measured in centimeters?"
            )
            candidates.append((question, f"{100 * max(thing.size_3):.0f}"))
    desk.ask_numbers(kind, candidates)


def ask_room(shown: Shown, desk: Desk) -> None:
    """The floor's area, where every wall has been seen."""
    kind = "room_size_estimation"
    if not bool((wall_pixels(shown.room.floor_P2, shown.seen) >= shown.least_pixels).all()):
        desk.refuse(kind, "a wall is not shown")
        return
    area = floor_area(shown.room.floor_P2)
    desk.ask_numbers(kind, [("What is the size of this room (in square meters)?", f"{area:.1f}")])


def floor_area(floor_P2: FloatArray) -> float:
    """Area of a simple polygon, square metres, by Gauss's shoelace formula."""
    x_P, y_P = floor_P2.T
    return float(abs((x_P * np.roll(y_P, -1) - np.roll(x_P, -1) * y_P).sum()) / 2)


def wall_pixels(floor_P2: FloatArray, seen: Seen) -> npt.NDArray[np.int64]:
    """Pixels of the shell that show each wall, over all frames, (P,); wall p starts at corner p."""
    height, width = seen.depth_NHW.shape[1:]
    y_HW, x_HW = np.mgrid[:height:STEP, :width:STEP] + 0.5
    ray_HW3 = (
        np.stack([x_HW, y_HW, np.ones_like(x_HW)], axis=-1) @ np.linalg.inv(seen.intrinsics_33).T
    )
    start_P2 = floor_P2
    along_P2 = np.roll(floor_P2, -1, axis=0) - floor_P2
    length_P = np.linalg.norm(along_P2, axis=1)
    along_P2 = along_P2 / length_P[:, None]
    counts_P = np.zeros(len(floor_P2), dtype=np.int64)
    for pose_44, depth_HW, instance_HW in zip(
        seen.camera_from_world_N44,
        seen.depth_NHW[:, ::STEP, ::STEP],
        seen.instance_NHW[:, ::STEP, ::STEP],
        strict=True,
    ):
        shell = instance_HW == 0
        camera_S3 = ray_HW3[shell] * depth_HW[shell][:, None].astype(np.float64)
        world_S2 = ((camera_S3 - pose_44[:3, 3]) @ pose_44[:3, :3])[:, :2]
        offset_SP2 = world_S2[:, None] - start_P2
        on_SP = (offset_SP2 * along_P2).sum(axis=-1)
        off_SP = offset_SP2[..., 0] * along_P2[:, 1] - offset_SP2[..., 1] * along_P2[:, 0]
        near = (np.abs(off_SP) < WALL_TOLERANCE) & (on_SP >= 0) & (on_SP <= length_P)
        counts_P += near.sum(axis=0)
    return counts_P * STEP**2
