"""A model of a furniture library, brought to metres, z up, front towards -y, on the floor.

Legend: V vertices, F faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.archives import Archive, Refused
from geovr.simulation.rooms.sweethome.colours import paint
from geovr.simulation.rooms.sweethome.properties import Item
from geovr.simulation.rooms.sweethome.wavefront import parse_obj

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

MOST_OBJ_BYTES = 16 << 20
MOST_FACES = 20_000
"""A model with more is simplified to at most so many, and refused where that spoils its shape."""
GRIDS = (384, 256, 192, 128, 96, 64)
"""Cells along the longest side, tried from the finest."""
FLAT = 1e-6
"""Thinner than this share of the longest side, a model has no extent that could be scaled."""
MOST_STRETCH = 2.0
"""Between the axes' scales, where file and catalogue disagree on a model's proportions."""


@dataclass(frozen=True)
class Mesh:
    """A model that fills its size exactly: footprint centred on the origin, lowest point z = 0.

    `stretch` is the largest over the smallest scale of its axes (1: the file has the catalogue's
    proportions); `faults` what its materials lacked; `faces_in_file` counts before simplifying.
    """

    vertices_V3: FloatArray
    faces_F3: IntArray
    colour_F3: Float32Array
    stretch: float
    faces_in_file: int
    faults: tuple[str, ...]


def load_mesh(archive: Archive, item: Item) -> Mesh:
    """Read, turn, scale and colour the model of an item.

    Sweet Home 3D has x to the right, y up and the front towards +z; its size is that of the box
    round the model after `modelRotation`.

    Raises:
        Refused: for a model that is damaged, too large, or of other proportions than its catalogue
            says.
    """
    obj = parse_obj(archive.read(item.member, MOST_OBJ_BYTES))
    painted = paint(archive, item.member, obj)
    corners_V3 = obj.vertices_V3
    if item.rotation is not None:
        # without BLAS, whose rounding may hang on the thread count
        rotation_33 = np.array(item.rotation).reshape(3, 3)
        corners_V3 = (corners_V3[:, None, :] * rotation_33[None]).sum(axis=2)
    corners_V3 = np.stack([corners_V3[:, 0], -corners_V3[:, 2], corners_V3[:, 1]], axis=1)
    stretch = _stretch(corners_V3[np.unique(obj.faces_F3)], item.size_m)
    faces_F3 = obj.faces_F3[painted.visible_F]
    colour_F3 = painted.colour_F3[painted.visible_F]
    vertices_V3, faces_F3 = _compact(corners_V3, faces_F3)
    if len(faces_F3) > MOST_FACES:
        vertices_V3, faces_F3, colour_F3 = _simplified(vertices_V3, faces_F3, colour_F3)
    if not len(faces_F3):
        raise Refused("nothing of its model is visible")
    return Mesh(
        _fitted(vertices_V3, item.size_m),
        faces_F3,
        colour_F3,
        stretch,
        len(obj.faces_F3),
        painted.faults,
    )


def _stretch(vertices_V3: FloatArray, size_m: tuple[float, float, float]) -> float:
    extent_3 = np.ptp(vertices_V3, axis=0)
    longest = float(extent_3.max())
    if longest <= 0:
        raise Refused("its model has no extent")
    # an axis along which both are thin tells nothing: a scaled rug is as flat as before
    told = (extent_3 > FLAT * longest) & (np.array(size_m) > 0.02 * max(size_m))
    scale = np.array(size_m)[told] / extent_3[told]
    stretch = float(scale.max() / scale.min())
    if stretch > MOST_STRETCH:
        raise Refused(f"its model has other proportions than the catalogue says ({stretch:.1f}x)")
    return stretch


def _compact(vertices_V3: FloatArray, faces_F3: IntArray) -> tuple[FloatArray, IntArray]:
    """Only the vertices that faces use."""
    used, renamed = np.unique(faces_F3, return_inverse=True)
    return vertices_V3[used], renamed.reshape(-1, 3)


def _fitted(vertices_V3: FloatArray, size_m: tuple[float, float, float]) -> FloatArray:
    low_3, extent_3 = vertices_V3.min(axis=0), np.ptp(vertices_V3, axis=0)
    thick = extent_3 > FLAT * extent_3.max()
    unit_V3 = np.where(thick, (vertices_V3 - low_3) / np.where(thick, extent_3, 1.0), 0.5)
    if not thick[2]:
        unit_V3[:, 2] = 0.0
    fitted_V3: FloatArray = (unit_V3 - np.array([0.5, 0.5, 0.0])) * np.array(size_m)
    return fitted_V3


def _simplified(
    vertices_V3: FloatArray, faces_F3: IntArray, colour_F3: Float32Array
) -> tuple[FloatArray, IntArray, Float32Array]:
    """Vertices that share a cell of a grid become their mean, and faces that collapse are left out.

    The first of GRIDS that leaves at most MOST_FACES is taken.

    Raises:
        Refused: when the coarsest leaves more.
    """
    longest = float(np.ptp(vertices_V3, axis=0).max())
    for cells in GRIDS:
        cell_V3 = ((vertices_V3 - vertices_V3.min(axis=0)) * (cells / longest)).astype(np.int64)
        key_V = cell_V3[:, 0] + 4096 * (cell_V3[:, 1] + 4096 * cell_V3[:, 2])
        _, cluster_V = np.unique(key_V, return_inverse=True)
        faces = cluster_V[faces_F3]
        kept = (
            (faces[:, 0] != faces[:, 1])
            & (faces[:, 1] != faces[:, 2])
            & (faces[:, 2] != faces[:, 0])
        )
        _, once = np.unique(np.sort(faces[kept], axis=1), axis=0, return_index=True)
        chosen = np.flatnonzero(kept)[np.sort(once)]
        if len(chosen) > MOST_FACES:
            continue
        count_V = np.bincount(cluster_V).astype(np.float64)
        means = [np.bincount(cluster_V, weights=vertices_V3[:, k]) / count_V for k in range(3)]
        merged, renamed = _compact(np.stack(means, axis=1), faces[chosen])
        return merged, renamed, colour_F3[chosen]
    raise Refused(f"more than {MOST_FACES} faces even when simplified")
