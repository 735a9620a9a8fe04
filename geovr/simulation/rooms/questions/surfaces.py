"""Distance between the nearest points of two triangle meshes.

Exact: the minimum over pairs of triangles of vertex to face, vertex to edge and edge to edge, and
0 where an edge passes through a face. Triangles lie in leaves of neighbours with a box around
each, and pairs of leaves are looked at nearest boxes first, until no box can hold less.
Legend: F faces, L leaves, S triangles of a leaf, M pairs of triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.world import FloatArray, IntArray

LEAF = 32
TINY = 1e-18


@dataclass(frozen=True)
class Surface:
    """A mesh's triangles in leaves of neighbours."""

    leaves: tuple[FloatArray, ...]
    """Corners of each leaf's triangles, (S, 3, 3)."""
    low_L3: FloatArray
    high_L3: FloatArray

    @classmethod
    def of(cls, vertices_V3: FloatArray, faces_F3: IntArray) -> Surface:
        """Sort a mesh's triangles into leaves."""
        triangles_F33 = np.asarray(vertices_V3, dtype=np.float64)[faces_F3]
        parts = _split(triangles_F33.mean(axis=1), np.arange(len(faces_F3)))
        leaves = tuple(triangles_F33[part] for part in parts)
        low_L3 = np.stack([leaf.min(axis=(0, 1)) for leaf in leaves])
        high_L3 = np.stack([leaf.max(axis=(0, 1)) for leaf in leaves])
        return cls(leaves, low_L3, high_L3)


def surface_distance(a: Surface, b: Surface) -> float:
    """Distance of the nearest points of two surfaces, metres."""
    bound_LL = _box_gap(a.low_L3, a.high_L3, b.low_L3, b.high_L3)
    best = np.inf
    for flat in np.argsort(bound_LL, axis=None, kind="stable"):
        leaf_a, leaf_b = np.unravel_index(flat, bound_LL.shape)
        if bound_LL[leaf_a, leaf_b] >= best:
            break
        best = min(best, _leaf_distance(a.leaves[leaf_a], b.leaves[leaf_b], best))
    return float(np.sqrt(best))


def box_gap(a: Surface, b: Surface) -> float:
    """Distance of the boxes around two surfaces, metres; theirs is never less."""
    low_a, high_a = a.low_L3.min(axis=0), a.high_L3.max(axis=0)
    low_b, high_b = b.low_L3.min(axis=0), b.high_L3.max(axis=0)
    gap_3 = np.maximum(np.maximum(low_b - high_a, low_a - high_b), 0.0)
    return float(np.sqrt((gap_3**2).sum()))


def _split(centroid_F3: FloatArray, index_F: IntArray) -> list[IntArray]:
    """Halve along the longest side at the median until a part fits a leaf."""
    if len(index_F) <= LEAF:
        return [index_F]
    points = centroid_F3[index_F]
    axis = int(np.argmax(np.ptp(points, axis=0)))
    sorted_F = index_F[np.argsort(points[:, axis], kind="stable")]
    middle = len(sorted_F) // 2
    return _split(centroid_F3, sorted_F[:middle]) + _split(centroid_F3, sorted_F[middle:])


def _box_gap(
    low_a: FloatArray, high_a: FloatArray, low_b: FloatArray, high_b: FloatArray
) -> FloatArray:
    """Squared distance between every box of a and every box of b."""
    gap = np.maximum(low_b[None] - high_a[:, None], low_a[:, None] - high_b[None])
    squared: FloatArray = (np.maximum(gap, 0.0) ** 2).sum(axis=-1)
    return squared


def _leaf_distance(a_S33: FloatArray, b_S33: FloatArray, best: float) -> float:
    """Least squared distance of the triangles of two leaves, if it is below best; else best."""
    gap = a_S33.reshape(-1, 1, 3) - b_S33.reshape(1, -1, 3)
    best = min(best, float((gap**2).sum(axis=-1).min()))
    near = _box_gap(a_S33.min(axis=1), a_S33.max(axis=1), b_S33.min(axis=1), b_S33.max(axis=1))
    which_a, which_b = np.nonzero(near < best)
    if not len(which_a):
        return best
    a_M33, b_M33 = a_S33[which_a], b_S33[which_b]
    return min(
        best,
        _vertex_edge(a_M33, b_M33),
        _vertex_edge(b_M33, a_M33),
        _edge_edge(a_M33, b_M33),
        _through_face(a_M33, b_M33),
        _through_face(b_M33, a_M33),
    )


def _edges(triangles_M33: FloatArray) -> FloatArray:
    return np.roll(triangles_M33, -1, axis=1) - triangles_M33


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    product: FloatArray = (a * b).sum(axis=-1)
    return product


def _vertex_edge(a_M33: FloatArray, b_M33: FloatArray) -> float:
    """Vertices of a against edges of b."""
    start, edge = b_M33[:, None], _edges(b_M33)[:, None]
    offset = a_M33[:, :, None] - start
    along = np.clip(_dot(offset, edge) / np.maximum(_dot(edge, edge), TINY), 0.0, 1.0)
    gap = offset - along[..., None] * edge
    return float(_dot(gap, gap).min())


def _edge_edge(a_M33: FloatArray, b_M33: FloatArray) -> float:
    """Edges against edges where both nearest points are inside; the ends are vertices' business."""
    edge_a, edge_b = _edges(a_M33)[:, :, None], _edges(b_M33)[:, None]
    offset = a_M33[:, :, None] - b_M33[:, None]
    aa, bb, ab = _dot(edge_a, edge_a), _dot(edge_b, edge_b), _dot(edge_a, edge_b)
    oa, ob = _dot(edge_a, offset), _dot(edge_b, offset)
    determinant = aa * bb - ab**2
    crossing = determinant > 1e-12 * aa * bb
    safe = np.where(crossing, determinant, 1.0)
    on_a, on_b = (ab * ob - oa * bb) / safe, (aa * ob - ab * oa) / safe
    inside = crossing & (on_a >= 0) & (on_a <= 1) & (on_b >= 0) & (on_b <= 1)
    gap = offset + on_a[..., None] * edge_a - on_b[..., None] * edge_b
    return float(np.where(inside, _dot(gap, gap), np.inf).min())


def _through_face(a_M33: FloatArray, b_M33: FloatArray) -> float:
    """Vertices of a over faces of b, and edges of a that pass through faces of b."""
    edges_b = _edges(b_M33)
    normal_M3 = np.cross(edges_b[:, 0], edges_b[:, 1])
    length_M1 = np.sqrt(_dot(normal_M3, normal_M3))[:, None]
    proper_M1 = length_M1 > 1e-12
    normal_M3 = normal_M3 / np.where(proper_M1, length_M1, 1.0)
    height_M3 = _dot(a_M33 - b_M33[:, :1], normal_M3[:, None])
    over = proper_M1 & _inside(a_M33, b_M33, edges_b, normal_M3)
    nearest = float(np.where(over, height_M3**2, np.inf).min())
    next_M3 = np.roll(height_M3, -1, axis=1)
    crosses = proper_M1 & (height_M3 * next_M3 < 0)
    share = height_M3 / np.where(crosses, height_M3 - next_M3, 1.0)
    point_M33 = a_M33 + share[..., None] * _edges(a_M33)
    pierced = crosses & _inside(point_M33, b_M33, edges_b, normal_M3)
    return 0.0 if bool(pierced.any()) else nearest


def _inside(
    point_M33: FloatArray, b_M33: FloatArray, edges_b: FloatArray, normal_M3: FloatArray
) -> npt.NDArray[np.bool_]:
    """Whether points lie in the prism over a triangle."""
    offset = point_M33[:, :, None] - b_M33[:, None]
    side = _dot(np.cross(edges_b[:, None], offset), normal_M3[:, None, None])
    return np.asarray((side >= 0).all(axis=-1))
