"""What a directory of furniture libraries offers: libraries, pieces, and models to place.

Legend: V vertices, F faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.sweethome.properties import Item
from geovr.simulation.rooms.world import Float32Array, Thing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Library:
    """One .sh3f file: how it names itself, its licence, and how many of its items are usable."""

    file: str
    sha256: str
    name: str
    licence: str
    items: int
    usable: int


@dataclass(frozen=True)
class Piece:
    """An item of a catalogue as a piece of a category."""

    category: str
    item: Item

    @property
    def group(self) -> str:
        """The catalogue's own group, lower case: "living room", "kitchen"."""
        return self.item.group.lower()


@dataclass(frozen=True)
class Model:
    """A piece with its mesh: footprint centred on the origin, z from 0, front towards -y."""

    category: str
    vertices_V3: FloatArray
    faces_F3: IntArray
    colour_F3: Float32Array
    size_3: tuple[float, float, float]
    source: dict[str, str]

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
