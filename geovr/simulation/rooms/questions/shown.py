"""Which things a clip shows clearly, and which of them a name alone tells apart.

A thing is clearly shown when enough frames hold enough pixels of it without the image's edge
cutting much of it off. Legend: N frames, K things, G points of a box, H W pixels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.world import FloatArray, FurnishedRoom, IntArray, Seen, Thing

CLEAR_SHARE = 0.003
"""Pixels of a frame that a thing must fill there, as a share of all."""
WHOLE_SHARE = 0.6
"""Share of a thing's box that must lie inside the image in that frame."""
CLEAR_FRAMES = 2
"""Frames in which both must hold."""
BOX_POINTS = 5
"""Points along each side of a thing's box at which the share inside the image is measured."""
NEAR_PLANE = 0.05


@dataclass(frozen=True)
class Shown:
    """A room and what a clip shows of it."""

    room: FurnishedRoom
    seen: Seen
    pixels_NK: IntArray
    """Pixels of every thing in every frame."""
    clear_K: npt.NDArray[np.bool_]
    """Whether the clip shows a thing clearly."""

    @classmethod
    def of(cls, room: FurnishedRoom, seen: Seen) -> Shown:
        """Count pixels and look where the image's edge cuts things off."""
        things = len(room.things)
        pixels_NK = np.array(
            [
                np.bincount(frame.ravel(), minlength=things + 1)[1 : things + 1]
                for frame in seen.instance_NHW
            ],
            dtype=np.int64,
        )
        whole_NK = np.zeros(pixels_NK.shape, dtype=np.bool_)
        for index, thing in enumerate(room.things):
            whole_NK[:, index] = share_inside(thing, seen) >= WHOLE_SHARE
        clear_NK = (pixels_NK >= least_pixels(seen)) & whole_NK
        return cls(room, seen, pixels_NK, clear_NK.sum(axis=0) >= CLEAR_FRAMES)

    @property
    def least_pixels(self) -> float:
        """Pixels from which on a thing is clear in a frame."""
        return least_pixels(self.seen)

    @cached_property
    def instances(self) -> Counter[str]:
        """How many things of each category stand in the room, seen or not."""
        return Counter(thing.category for thing in self.room.things)

    @cached_property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Things of every category of which all are shown clearly."""
        groups: dict[str, list[int]] = {}
        for index, thing in enumerate(self.room.things):
            groups.setdefault(thing.category, []).append(index)
        return {
            category: tuple(group)
            for category, group in sorted(groups.items())
            if all(self.clear_K[index] for index in group)
        }

    @cached_property
    def named(self) -> tuple[int, ...]:
        """Things shown clearly whose category no other thing has: a name is enough for them."""
        return tuple(sorted(group[0] for group in self.groups.values() if len(group) == 1))

    def name(self, index: int) -> str:
        """How questions name a thing."""
        return self.room.things[index].category


def least_pixels(seen: Seen) -> float:
    """Pixels from which on a thing is clear in a frame."""
    return CLEAR_SHARE * float(seen.instance_NHW[0].size)


def share_inside(thing: Thing, seen: Seen) -> FloatArray:
    """Share of a thing's box inside of each frame's image, (N,)."""
    height, width = seen.instance_NHW.shape[1:]
    points_G4 = np.column_stack([box_points(thing), np.ones(BOX_POINTS**3)])
    camera_NG3 = points_G4 @ seen.camera_from_world_N44[:, :3].transpose(0, 2, 1)
    depth_NG = camera_NG3[..., 2]
    front_NG = depth_NG > NEAR_PLANE
    image_NG3 = camera_NG3 @ seen.intrinsics_33.T
    x_NG, y_NG = (image_NG3[..., axis] / np.where(front_NG, depth_NG, 1.0) for axis in range(2))
    inside_NG = front_NG & (x_NG >= 0) & (x_NG <= width) & (y_NG >= 0) & (y_NG <= height)
    return np.asarray(inside_NG.mean(axis=1), dtype=np.float64)


def box_points(thing: Thing) -> FloatArray:
    """A regular grid of points that fills a thing's oriented box, world, (G, 3)."""
    steps = np.linspace(-0.5, 0.5, BOX_POINTS)
    grid_G3 = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    cosine, sine = np.cos(thing.yaw), np.sin(thing.yaw)
    turn_33 = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    points_G3: FloatArray = (grid_G3 * np.asarray(thing.size_3)) @ turn_33.T + thing.centre_3
    return points_G3
