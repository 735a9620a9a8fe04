"""`--furniture DIR`: pieces out of Sweet Home 3D's furniture libraries (.sh3f).

Opening reads what the catalogues say, a model is read when it is first drawn. Whatever isn't used
is counted by name, with the reason.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from geovr.archives import Archive, Refused
from geovr.config import digest
from geovr.errors import UserError
from geovr.simulation.rooms.sweethome.model import Mesh, load_mesh
from geovr.simulation.rooms.sweethome.names import STRANGE_GROUPS, fits, kind_of
from geovr.simulation.rooms.sweethome.pieces import Library, Piece
from geovr.simulation.rooms.sweethome.properties import Item, read_items
from geovr.simulation.rooms.world import Model

log = logging.getLogger("geovr")

HOW_TO_GET_IT = """\
On Debian or Ubuntu, without root:
  apt-get download sweethome3d-furniture
  dpkg-deb -x sweethome3d-furniture_*_all.deb furniture
then --furniture furniture/usr/share/sweethome3d/furniture. Elsewhere, download the "3D models \
libraries" from Sweet Home 3D's web site and give the directory that holds the .sh3f files."""
READER_VERSION = 1
"""Part of the digest: raise it when the same files give other pieces or models."""
MODELS_KEPT = 256
"""Models a process keeps in memory."""
NAMES_TOLD = 12
"""Of each reason, in the log line; the summary has all."""
NOT_FOR_ROOMS, HANGING, UNKNOWN = "not for a room", "not standing on the floor", "unknown name"
OTHER_SIZE, REFUSED = "of another size than its name says", "refused"

Skipped = dict[str, dict[str, int]]
"""Reason -> name in the catalogue -> how many items."""


@dataclass(frozen=True)
class Catalogue:
    """The usable pieces of a directory of furniture libraries.

    `digest` is that of the libraries' bytes and names and of this reader's version, for a scene's
    key. `refused` gathers the pieces that were drawn and passed over because of their models, with
    the reason.
    """

    directory: Path
    libraries: tuple[Library, ...]
    pieces: tuple[Piece, ...]
    skipped: Skipped
    digest: str
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: Path) -> Catalogue:
        """Read the catalogues of all .sh3f files of a directory, in the order of their names.

        Raises:
            UserError: when there is none, with how to get some, or when one is no sound archive.
        """
        libraries: list[Library] = []
        pieces: list[Piece] = []
        skipped: dict[str, Counter[str]] = {}
        for path in _files(directory):
            with Archive(path) as archive:
                try:
                    about, items, refused = read_items(archive)
                except Refused as error:
                    raise UserError(
                        f"{path}: {error}; it is no furniture library of Sweet Home 3D: take it "
                        f"out of {directory}"
                    ) from None
            for name, reason in refused:
                skipped.setdefault(f"{REFUSED}: {reason}", Counter())[name] += 1
            usable = []
            for item in items:
                category, reason = _category(item)
                if category is None:
                    skipped.setdefault(reason, Counter())[item.name] += 1
                else:
                    usable.append(Piece(category, item))
            pieces += usable
            libraries.append(
                Library(
                    path.name,
                    _sha256(path),
                    about.get("name", path.stem),
                    about.get("license", "not stated"),
                    len(items) + len(refused),
                    len(usable),
                )
            )
        if not pieces:
            raise UserError(
                f"{directory}: none of the {sum(library.items for library in libraries)} items of "
                f"its furniture libraries can stand in a room.\n{HOW_TO_GET_IT}"
            )
        return cls(
            directory,
            tuple(libraries),
            tuple(pieces),
            {reason: dict(sorted(names.items())) for reason, names in sorted(skipped.items())},
            digest([READER_VERSION, *((library.file, library.sha256) for library in libraries)]),
        )

    def for_scene(self) -> Catalogue:
        """The same with an empty `refused`, which then tells of one scene, in any process."""
        return replace(self, refused={})

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories there are pieces of, sorted."""
        return tuple(sorted({piece.category for piece in self.pieces}))

    def draw(self, what: str, rng: np.random.Generator) -> Model | None:
        """A model of a category ("chair") or of a group of the catalogues ("living room").

        In a group, each category is as likely as another. A model that is refused is passed over,
        so that the outcome hangs on `rng` and the libraries' bytes alone. None when there is none.
        """
        chosen = [piece for piece in self.pieces if what in (piece.category, piece.group)]
        categories = sorted({piece.category for piece in chosen})
        for index in rng.permutation(len(categories)):
            of_category = [piece for piece in chosen if piece.category == categories[index]]
            for number in rng.permutation(len(of_category)):
                model = self.model(of_category[number])
                if model is not None:
                    return model
        return None

    def model(self, piece: Piece) -> Model | None:
        """The model of a piece; None, and an entry in `refused`, for one that can't be used."""
        item = piece.item
        mesh = _mesh(self.directory / item.file, item)
        if isinstance(mesh, str):
            self.refused[_full_name(item)] = mesh
            return None
        source = {
            "model": item.name,
            "catalogue": item.file,
            "author": item.author,
            "licence": item.licence,
        }
        return Model(
            piece.category, mesh.vertices_V3, mesh.faces_F3, mesh.colour_F3, item.size_m, source
        )

    def summary(self) -> dict[str, Any]:
        """What was opened and what is left out, for scenes.json."""
        return {
            "digest": self.digest,
            "libraries": [asdict(library) for library in self.libraries],
            "usable": dict(sorted(Counter(piece.category for piece in self.pieces).items())),
            "skipped": self.skipped,
        }

    def log_summary(self) -> None:
        """One line of what is usable, and one for each reason why something isn't."""
        log.info(
            "furniture: %d of %d items of %d libraries in %d categories",
            len(self.pieces), sum(library.items for library in self.libraries),
            len(self.libraries), len(self.categories),
        )  # fmt: skip
        for reason, names in self.skipped.items():
            log.info("furniture: %d %s: %s", sum(names.values()), reason, _told(names))


@lru_cache(maxsize=4)
def open_catalogue(directory: Path, expected_digest: str) -> Catalogue:
    """A worker's catalogue, the same for all scenes it makes.

    Raises:
        UserError: when the files are no longer those that the run began with.
    """
    catalogue = Catalogue.open(directory)
    if catalogue.digest != expected_digest:
        raise UserError(
            f"{directory}: the furniture libraries changed while scenes were made; run again"
        )
    return catalogue


@lru_cache(maxsize=MODELS_KEPT)
def _mesh(path: Path, item: Item) -> Mesh | str:
    """The mesh of an item, or why it is refused, which is logged once."""
    try:
        with Archive(path) as archive:
            mesh = load_mesh(archive, item)
    except Refused as error:
        log.warning("furniture: %s is left out: %s", _full_name(item), error)
        return str(error)
    for fault in mesh.faults:
        log.debug("furniture: %s: %s; a plain colour is taken", _full_name(item), fault)
    return mesh


def _full_name(item: Item) -> str:
    return f"{item.file}: {item.name} ({item.member})"


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise UserError(f"--furniture {directory}: no such directory.\n{HOW_TO_GET_IT}")
    files = sorted(p for p in directory.iterdir() if p.suffix.lower() == ".sh3f" and p.is_file())
    if not files:
        raise UserError(f"--furniture {directory}: holds no .sh3f file.\n{HOW_TO_GET_IT}")
    return files


def _category(item: Item) -> tuple[str | None, str]:
    """The category of an item, or why it has none."""
    if item.opens or item.group.lower() in STRANGE_GROUPS:
        return None, NOT_FOR_ROOMS
    kind = kind_of(item.name)
    if kind is None:
        return None, UNKNOWN
    if item.elevation_m != 0:
        return None, HANGING
    if not fits(kind, item.size_m):
        return None, OTHER_SIZE
    return kind.category, ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _told(names: Mapping[str, int]) -> str:
    told = [f"{name} x{count}" if count > 1 else name for name, count in names.items()]
    more = len(told) - NAMES_TOLD
    return ", ".join(told[:NAMES_TOLD]) + (f" and {more} more names" if more > 0 else "")
