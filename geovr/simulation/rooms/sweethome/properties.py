"""The catalogue of a furniture library: PluginFurnitureCatalog.properties.

A Java properties file in ISO 8859-1, one numbered group of keys an item (`name#7`, `width#7`).
Files of other languages beside it (`..._de.properties`) hold translated names only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from geovr.archives import Archive, Refused, member_name

CATALOGUE = "PluginFurnitureCatalog.properties"
MOST_BYTES = 8 << 20
MOST_ITEMS = 20_000
MOST_SIDE_M = 5.0
"""A piece larger than this stands in no room of ours, and is more likely a mistake of units."""
LEAST_SIDE_M = 0.001
ROTATION_TOLERANCE = 1e-2

Rotation = tuple[float, ...]
"""Nine numbers, row by row."""


@dataclass(frozen=True)
class Item:
    """One piece of furniture as its catalogue describes it.

    `size_m` is width, depth, height; `elevation_m` the height of its foot above the floor;
    `rotation` turns the model's file into the pose that the size was taken in; `opens` is true of
    doors and windows.
    """

    file: str
    number: int
    name: str
    group: str
    member: str
    size_m: tuple[float, float, float]
    elevation_m: float
    rotation: Rotation | None
    opens: bool
    author: str
    licence: str


def parse_properties(content: bytes) -> dict[str, str]:
    r"""Keys and values of a Java properties file, with its escapes and continued lines.

    The rules are those of java.util.Properties.load: `#` and `!` begin comments, `=`, `:` or space
    end a key, a line that ends in an odd number of backslashes goes on, \uXXXX is a UTF-16 unit.
    """
    values: dict[str, str] = {}
    waiting = ""
    for raw in content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = raw.lstrip(" \t\f")
        if not waiting and line[:1] in ("#", "!"):
            continue
        waiting += line
        if (len(waiting) - len(waiting.rstrip("\\"))) % 2:
            waiting = waiting[:-1]
            continue
        if waiting:
            parts = _PAIR.fullmatch(waiting)
            if parts is not None:
                values[_unescape(parts[1])] = _unescape(parts[2])
        waiting = ""
    return values


_PAIR = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_SHORT = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def _unescape(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _SHORT.get(code, code)

    if "\\" not in text:
        return text
    # two escapes may be the halves of one character
    units = _ESCAPE.sub(meant, text).encode("utf-16", "surrogatepass")
    return units.decode("utf-16", "replace")


def read_items(archive: Archive) -> tuple[dict[str, str], list[Item], list[tuple[str, str]]]:
    """What a library says of itself, its items, and those refused as (name, reason).

    Raises:
        Refused: when the library has no catalogue that can be read.
    """
    values = parse_properties(archive.read(CATALOGUE, MOST_BYTES))
    about = {key: " ".join(text.split()) for key, text in values.items() if "#" not in key}
    numbers = sorted({int(key[5:]) for key in values if re.fullmatch(r"name#\d{1,6}", key)})
    if len(numbers) > MOST_ITEMS:
        raise Refused(f"{CATALOGUE} has {len(numbers)} items, more than {MOST_ITEMS}")
    items: list[Item] = []
    refused: list[tuple[str, str]] = []
    for number in numbers:
        try:
            items.append(_item(archive, about, values, number))
        except Refused as error:
            refused.append((values[f"name#{number}"].strip(), str(error)))
    return about, items, refused


def _item(archive: Archive, about: dict[str, str], values: dict[str, str], number: int) -> Item:
    def text(key: str, default: str = "") -> str:
        return " ".join(values.get(f"{key}#{number}", default).split())

    def metres(key: str, default: str = "") -> float:
        try:
            value = float(text(key, default)) / 100
        except ValueError:
            raise Refused(f"{key} is no number") from None
        if not math.isfinite(value):
            raise Refused(f"{key} is no number")
        return value

    size = metres("width"), metres("depth"), metres("height")
    if min(size) < LEAST_SIDE_M or max(size) > MOST_SIDE_M:
        raise Refused(f"a side is shorter than {LEAST_SIDE_M} m or longer than {MOST_SIDE_M:g} m")
    # the slash in front means the archive's own root
    member = member_name("", text("model").removeprefix("/"))
    if member is None or not member.lower().endswith(".obj"):
        raise Refused("its model is no OBJ file of the archive")
    if member not in archive:
        raise Refused("its model is missing from the archive")
    return Item(
        archive.path.name,
        number,
        text("name"),
        text("category"),
        member,
        size,
        metres("elevation", "0"),
        _rotation(text("modelRotation")),
        text("doorOrWindow").lower() == "true",
        text("creator") or "not stated",
        text("license") or about.get("license") or "not stated",
    )


def _rotation(text: str) -> Rotation | None:
    if not text:
        return None
    try:
        rows = tuple(float(part) for part in text.split())
    except ValueError:
        rows = ()
    if len(rows) != 9 or not all(math.isfinite(value) for value in rows):
        raise Refused("modelRotation is no list of nine numbers")
    (a, b, c), (d, e, f), (g, h, i) = rows[:3], rows[3:6], rows[6:]
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    dots = (a * d + b * e + c * f, a * g + b * h + c * i, d * g + e * h + f * i)
    lengths = (a * a + b * b + c * c - 1, d * d + e * e + f * f - 1, g * g + h * h + i * i - 1)
    if max(abs(value) for value in (determinant - 1, *dots, *lengths)) > ROTATION_TOLERANCE:
        raise Refused("modelRotation is no rotation")
    return rows
