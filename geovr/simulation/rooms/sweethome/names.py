"""From the names of a furniture catalogue to the categories that questions name.

A name's last words say what a thing is ("Winchester armchair", "wooden teak table"), so the
longest ending that the table knows decides, after what follows "with", a comma or a bracket is cut
off ("Table with tablecloth"). What the table doesn't know isn't guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A category: the catalogue's words for it, and the metres its height and longest side have.

    Things outside these bounds are of another sort than the word suggests: a desk lamp stands on
    no floor, and a doll's chair is no chair.
    """

    category: str
    words: tuple[str, ...]
    height_m: tuple[float, float]
    longest_m: tuple[float, float]


_PLANTS = (
    "plant", "bamboo", "bonsai tree", "cactus", "ficus", "flowers", "lily", "orchids",
    "spathiphyllum", "tulips", "yucca",
)  # fmt: skip

KINDS: tuple[Kind, ...] = (
    Kind("chair", ("chair", "class seat"), (0.5, 1.4), (0.55, 1.4)),
    Kind("armchair", ("armchair",), (0.5, 1.4), (0.5, 1.5)),
    Kind(
        "sofa",
        ("sofa", "couch", "futon couch", "corner sofa", "sofa bz"),
        (0.4, 1.3),
        (1.1, 4.0),
    ),
    Kind("stool", ("stool", "bar stool", "bar chair"), (0.3, 1.2), (0.3, 1.2)),
    Kind("ottoman", ("ottoman", "puff"), (0.2, 0.7), (0.3, 1.3)),
    Kind("bench", ("bench",), (0.3, 1.2), (0.6, 2.5)),
    Kind("table", ("table", "round table"), (0.5, 1.2), (0.5, 3.0)),
    Kind("coffee table", ("coffee table",), (0.2, 0.65), (0.4, 2.0)),
    Kind("desk", ("desk", "desk table"), (0.5, 1.6), (0.6, 3.0)),
    Kind("nightstand", ("bedside table", "nightstand"), (0.25, 0.9), (0.3, 0.9)),
    Kind(
        "bed",
        ("bed", "bunk bed", "day bed", "captain's bed", "mezzanine bed", "futon"),
        (0.2, 2.2),
        (1.4, 2.7),
    ),
    Kind("crib", ("crib", "baby bed", "rocking bed"), (0.5, 1.5), (0.6, 1.6)),
    Kind("bookshelf", ("bookcase", "bookshelf", "shelves"), (0.6, 2.4), (0.6, 3.0)),
    Kind(
        "cabinet",
        ("cabinet", "cupboard", "filing cabinet", "chest"),
        (0.35, 2.4),
        (0.35, 3.0),
    ),
    Kind("dresser", ("dresser", "dressing table", "chest of drawers"), (0.5, 1.9), (0.6, 2.2)),
    Kind("wardrobe", ("wardrobe",), (1.4, 2.4), (1.4, 3.5)),
    Kind("tv stand", ("tv stand", "television cabinet"), (0.2, 1.9), (0.6, 3.0)),
    Kind("tv", ("tv", "tv 16:9"), (0.4, 1.5), (0.6, 2.2)),
    Kind("lamp", ("lamp", "floor lamp", "saloon lamp"), (0.9, 2.2), (0.9, 2.3)),
    Kind("plant", _PLANTS, (0.4, 2.3), (0.4, 2.3)),
    Kind("piano", ("grand piano", "upright piano", "piano"), (0.7, 1.9), (1.2, 3.0)),
    Kind("fireplace", ("fireplace",), (0.6, 2.4), (0.6, 2.6)),
    Kind("refrigerator", ("refrigerator", "fridge"), (0.7, 2.2), (0.7, 2.2)),
    Kind("stove", ("stove", "cooker"), (0.7, 1.4), (0.7, 1.6)),
    Kind("oven", ("oven",), (0.5, 2.2), (0.5, 2.2)),
    Kind("washing machine", ("washing machine",), (0.6, 1.2), (0.6, 1.2)),
    Kind("dryer", ("dryer machine", "dryer"), (0.6, 1.2), (0.6, 1.2)),
    Kind("dishwasher", ("dishwasher",), (0.6, 1.2), (0.6, 1.2)),
    Kind(
        "sink",
        ("sink", "washbasin", "vanity", "sink cabinet"),
        (0.6, 2.2),
        (0.4, 2.2),
    ),
    Kind("toilet", ("toilet", "toilets unit"), (0.3, 1.2), (0.4, 1.2)),
    Kind("bidet", ("bidet",), (0.3, 0.8), (0.4, 0.9)),
    Kind("bathtub", ("bath", "bathtub"), (0.35, 1.2), (1.0, 2.5)),
    Kind("shower", ("shower stall",), (1.7, 2.4), (1.7, 2.4)),
    Kind("trash bin", ("dustbin", "trash can", "recycling bin"), (0.2, 1.2), (0.2, 1.2)),
    Kind("radiator", ("radiator",), (0.3, 2.2), (0.4, 2.5)),
    Kind("whiteboard", ("white board", "whiteboard"), (1.0, 2.2), (1.0, 2.5)),
    Kind("water cooler", ("water cooler",), (0.8, 1.6), (0.8, 1.6)),
    Kind("treadmill", ("treadmill",), (0.8, 1.8), (1.0, 2.5)),
    Kind("exercise bike", ("indoor bike",), (0.8, 1.8), (0.8, 1.8)),
    Kind("pool table", ("pool table",), (0.6, 1.2), (1.5, 3.2)),
    Kind("clothes rack", ("clothes rack", "clothes horse"), (0.7, 2.2), (0.7, 2.2)),
    Kind("box", ("box", "cardboard box", "crate"), (0.2, 1.2), (0.25, 1.2)),
    Kind("suitcase", ("suitcase",), (0.3, 1.0), (0.4, 1.2)),
    Kind("speaker", ("speaker",), (0.5, 1.6), (0.5, 1.6)),
)

FALSE_ENDINGS = frozenset(
    {
        "abdominal bench", "baby high chair", "bread box", "camping lamp", "changing table",
        "desk lamp", "flower box", "football table", "letters box", "medicine box",
        "opened convertible sofa bz", "outdoor lamp", "plant box", "small oven", "street lamp",
        "upper cabinet", "upper corner cabinet", "wheel chair",
    }
)  # fmt: skip
"""Names whose ending suggests a category that they aren't of."""

STRANGE_GROUPS = frozenset(
    {"exterior", "vehicles", "characters", "doors and windows", "staircases"}
)
"""Groups of a catalogue that hold nothing for a room: doors and windows are a room's own."""

_KIND_OF: dict[str, Kind] = {word: kind for kind in KINDS for word in kind.words}
_CUT = re.compile(r"\s+with\s+|\s*[,(;]|\s+-\s+")
_COUNT = re.compile(r"\s+\d+(\s+(seats?|places?|doors?|drawers?))?$")


def kind_of(name: str) -> Kind | None:
    """The kind that a catalogue's name means, or None for one that isn't known."""
    head = _CUT.split(" ".join(name.lower().split()), maxsplit=1)[0]
    words = _COUNT.sub("", head).split()
    for start in range(len(words)):
        ending = " ".join(words[start:])
        if ending in FALSE_ENDINGS:
            return None
        if ending in _KIND_OF:
            return _KIND_OF[ending]
    return None


def fits(kind: Kind, size_m: tuple[float, float, float]) -> bool:
    """Whether a size (width, depth, height in metres) is one that things of the kind have."""
    low, high = kind.height_m
    least, most = kind.longest_m
    return low <= size_m[2] <= high and least <= max(size_m) <= most
