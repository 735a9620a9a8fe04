"""What a directory of furniture libraries offers: libraries, and pieces of a category."""

from __future__ import annotations

from dataclasses import dataclass

from geovr.simulation.rooms.sweethome.properties import Item


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
