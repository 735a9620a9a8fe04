"""The linear colour of each face of a model, from its materials and textures.

A texture is shrunk to a few cells, and a face takes the mean of the cells under it: enough for
grain, prints and painted parts at the resolution of our videos, and one colour a face.
Legend: F faces, S samples of a face.
"""

from __future__ import annotations

import io
import posixpath
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.archives import Archive, Refused, member_name
from geovr.simulation.rooms.sweethome.wavefront import Material, Obj, parse_mtl

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

MOST_MTL_BYTES = 1 << 20
MOST_PICTURE_BYTES = 16 << 20
MOST_PIXELS = 32_000_000
FORMATS = ("JPEG", "PNG", "BMP", "GIF")
CELLS = 32
UNKNOWN = Material((0.7, 0.7, 0.7), 1.0, None)
INVISIBLE = 0.05
"""Faces of at most this opacity aren't drawn. Others are opaque here: glass has its tint."""

# centre, corners and edges of a triangle, drawn a little inwards
_WEIGHTS_S3 = np.array(
    [[1, 1, 1], [8, 1, 1], [1, 8, 1], [1, 1, 8], [5, 5, 2], [5, 2, 5], [2, 5, 5]], np.float64
)
_WEIGHTS_S3 /= _WEIGHTS_S3.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Painted:
    """Linear reflectance of each face, which faces are seen, and what the materials lacked."""

    colour_F3: Float32Array
    visible_F: npt.NDArray[np.bool_]
    faults: tuple[str, ...]


def linear(display: npt.ArrayLike) -> FloatArray:
    """Linear light of sRGB display values from 0 to 1 (IEC 61966-2-1)."""
    value = np.asarray(display, np.float64)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def paint(archive: Archive, member: str, obj: Obj) -> Painted:
    """The colours of a model's faces.

    A material or texture that is missing or broken takes the next best: the material's plain
    colour, or a light grey; `faults` tells which.
    """
    folder = posixpath.dirname(member)
    faults: list[str] = []
    materials: dict[str, Material] = {}
    for library in obj.libraries:
        try:
            materials |= parse_mtl(_read(archive, folder, library, MOST_MTL_BYTES))
        except Refused as error:
            faults.append(f"materials: {error}")
    colour_F3 = np.empty((len(obj.faces_F3), 3))
    visible_F = np.ones(len(obj.faces_F3), np.bool_)
    pictures: dict[str, FloatArray] = {}
    for index, name in enumerate(obj.materials):
        chosen = np.flatnonzero(obj.material_F == index)
        if not len(chosen):
            continue
        material = materials.get(name, UNKNOWN)
        if name not in materials:
            faults.append(f"no material {name!r}")
        visible_F[chosen] = material.opacity > INVISIBLE
        colour_F3[chosen] = linear(material.colour)
        if material.texture is None:
            continue
        try:
            if material.texture not in pictures:
                content = _read(archive, folder, material.texture, MOST_PICTURE_BYTES)
                pictures[material.texture] = _cells(content, material.texture)
        except Refused as error:
            faults.append(f"texture: {error}")
            continue
        colour_F3[chosen] = _sampled(pictures[material.texture], obj, chosen)
    return Painted(colour_F3.astype(np.float32), visible_F, tuple(faults))


def _read(archive: Archive, folder: str, reference: str, most_bytes: int) -> bytes:
    member = member_name(folder, reference)
    if member is None:
        raise Refused(f"{reference!r} leads out of the archive")
    return archive.read(member, most_bytes)


def _cells(content: bytes, name: str) -> FloatArray:
    """A picture shrunk to CELLS x CELLS linear colours, transparent parts left out of the mean."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Refused(f"{name} has more than {MOST_PIXELS} pixels")
            picture.draft("RGB", (4 * CELLS, 4 * CELLS))
            small = picture.convert("RGBA").resize((CELLS, CELLS), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        raise Refused(f"{name} is no picture that can be read") from None
    return linear(np.asarray(small, np.float64)[..., :3] / 255)


def _sampled(cells: FloatArray, obj: Obj, chosen: npt.NDArray[np.intp]) -> FloatArray:
    """Mean colour under each of the chosen faces; of the whole picture without coordinates."""
    whole_3 = cells.reshape(-1, 3).mean(axis=0)
    uv_F3 = obj.uv_F3[chosen]
    colour_F3 = np.repeat(whole_3[None], len(chosen), axis=0)
    sound_T = np.append(np.isfinite(obj.uv_T2).all(axis=1), False)  # the last for -1
    mapped = np.flatnonzero(sound_T[uv_F3].all(axis=1))
    if not len(mapped):
        return colour_F3
    corner_F32 = obj.uv_T2[uv_F3[mapped]]
    spread_F = np.ptp(corner_F32, axis=1).min(axis=1)
    sample_FS2 = np.einsum("sk,fkc->fsc", _WEIGHTS_S3, corner_F32)
    # the picture repeats, and its first row is its top, where v is 1
    column_FS = (sample_FS2[..., 0] % 1.0 * CELLS).astype(np.int64).clip(0, CELLS - 1)
    row_FS = ((1.0 - sample_FS2[..., 1] % 1.0) * CELLS).astype(np.int64).clip(0, CELLS - 1)
    under_F3 = cells[row_FS, column_FS].mean(axis=1)
    # under a face that holds the whole picture, a few samples tell less than its mean
    colour_F3[mapped] = np.where(spread_F[:, None] >= 1.0, whole_3, under_F3)
    return colour_F3
