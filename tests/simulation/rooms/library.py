"""Furniture libraries (.sh3f) made by tests, in the layout that Sweet Home 3D writes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from PIL import Image

CATALOGUE = "PluginFurnitureCatalog.properties"
ABOUT = {
    "id": "Tests#Tiny",
    "name": "Tiny library",
    "description": "Made by a test",
    "version": "1.0",
    "license": "Creative Commons Attribution 3.0",
    "provider": "nobody",
}
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
SIDES = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]


def box(low: tuple[float, float, float], high: tuple[float, float, float], first: int = 0) -> str:
    """OBJ lines of a box of six quads, after `first` other vertices."""
    lines = [
        "v " + " ".join(str(high[k] if corner[k] else low[k]) for k in range(3))
        for corner in CORNERS
    ]
    lines += ["f " + " ".join(str(v + first) for v in side) for side in SIDES]
    return "\n".join(lines) + "\n"


CHAIR_OBJ = (
    "# a seat, a back behind it (the front is +z, y is up) and a mark on its left\n"
    "mtllib chair.mtl\nusemtl seat\n"
    + box((0, 0, 0), (20, 10, 30))
    + "usemtl back\n"
    + box((0, 10, 0), (20, 40, 3), 8)
    + "usemtl left\n"
    + box((0, 10, 3), (2, 20, 30), 16)
)
CHAIR_MTL = """\
newmtl seat
Kd 0.5 0.25 1.0
newmtl back
Kd 1 0 0
newmtl left
Kd 0 1 0
"""


def picture(columns: list[tuple[int, int, int]], height: int = 64, kind: str = "JPEG") -> bytes:
    """A picture of vertical stripes."""
    image = Image.new("RGB", (64 * len(columns), height))
    for index, colour in enumerate(columns):
        image.paste(colour, (64 * index, 0, 64 * index + 64, height))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def item(name: str = "Chair", **values: str) -> dict[str, str]:
    """The keys of one item of the catalogue, of the tiny chair unless told otherwise."""
    return {
        "id": f"Tests#{name}",
        "name": name,
        "tags": "",
        "category": "Living room",
        "icon": "/tests/chair.png",
        "model": "/tests/chair/chair.obj",
        "multiPartModel": "true",
        "width": "50",
        "depth": "60.0",
        "height": "90",
        "movable": "true",
        "doorOrWindow": "false",
        "creator": "A. Maker",
    } | values


def write_library(
    path: Path,
    items: list[dict[str, str]],
    members: dict[str, str | bytes] | None = None,
    about: dict[str, str] | None = None,
) -> Path:
    """Write a library whose catalogue has these items; `members` add to those of the chair."""
    lines = ["# PluginFurnitureCatalog.properties", ""]
    lines += [f"{key}={value}" for key, value in (ABOUT if about is None else about).items()]
    for number, values in enumerate(items, start=1):
        lines += ["", *(f"{key}#{number}={value}" for key, value in values.items())]
    content: dict[str, str | bytes] = {
        "LICENSE.TXT": "LICENSE\n",
        CATALOGUE: "\r\n".join(lines).encode("latin-1"),
        "PluginFurnitureCatalog_fr.properties": "name#1=Chaise\nwidth#1=1\n",
        "tests/chair.png": picture([(9, 9, 9)], kind="PNG"),
        "tests/chair/chair.obj": CHAIR_OBJ,
        "tests/chair/chair.mtl": CHAIR_MTL,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (content | (members or {})).items():
            info = zipfile.ZipInfo(name, (2020, 12, 19, 15, 8, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def replace_model(obj: str, mtl: str = "", **pictures: bytes) -> dict[str, str | bytes]:
    """Members with which the chair's model is another; pictures are named a_jpg for a.jpg."""
    members: dict[str, str | bytes] = {
        "tests/chair/chair.obj": obj,
        "tests/chair/chair.mtl": mtl,
    }
    return members | {
        f"tests/chair/{name.replace('_', '.')}": content for name, content in pictures.items()
    }
