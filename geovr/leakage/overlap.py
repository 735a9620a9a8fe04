"""What two sides share, and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from geovr.leakage.holdings import Held, Holdings
from geovr.leakage.likeness import Fingerprints, Likeness, LikenessConfig, likenesses

_NAMED = 3


@dataclass(frozen=True)
class Shared:
    """A scene, or a file's bytes, that both sides have.

    Attributes:
        what: the scene, or the sha256.
        train: its clips on the training side.
        test: on the other.
    """

    what: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def told(self) -> str:
        """In words."""
        return f"train: {_some(self.train)}; test: {_some(self.test)}"


@dataclass(frozen=True)
class Overlap:
    """All that two sides share.

    Attributes:
        train: what is trained on.
        test: what is tested on.
        scenes: in both.
        contents: files whose bytes are in both.
        likenesses: clips that show the same video, but are other files.
        compared: how many pairs of sides could be compared by scene, bytes and looks.
        notes: what could not be compared.
    """

    train: str
    test: str
    scenes: tuple[Shared, ...] = ()
    contents: tuple[Shared, ...] = ()
    likenesses: tuple[Likeness, ...] = ()
    compared: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether they share anything."""
        return bool(self.scenes or self.contents or self.likenesses)

    @property
    def summary(self) -> str:
        """In a few words."""
        if not self.any:
            return "none"
        counts = (("scene", self.scenes), ("video", self.contents),
                  ("look-alike", self.likenesses))  # fmt: skip
        return ", ".join(
            f"{len(found)} {what}{'s' if len(found) > 1 else ''}" for what, found in counts if found
        )

    def lines(self, most: int) -> list[str]:
        """What is shared, at most so many of each, a line each."""
        found: list[str] = []
        told = (
            [f"scene {one.what}: {one.told()}" for one in self.scenes],
            [f"same file: {one.told()}" for one in self.contents],
            [f"{one.train} looks like {one.test}: {one.told()}" for one in self.likenesses],
        )
        for lines in told:
            found += lines[:most]
            if len(lines) > most:
                found.append(f"and {len(lines) - most} more of these")
        return found

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"leakage": self.summary, **asdict(self)}


def compare(
    train: Holdings, test: Holdings, limits: LikenessConfig, what: str = "leakage"
) -> Overlap:
    """What a training set shares with what is tested on."""
    sides = train.clips, test.clips
    contents = _shared(*sides, lambda held: held.sha256)
    same = {(ours, theirs) for one in contents for ours in one.train for theirs in one.test}
    prints = [
        Fingerprints([(h.name, h.fingerprint) for h in side if h.fingerprint is not None])
        for side in sides
    ]
    looks = likenesses(prints[0], prints[1], limits, what)
    compared = {
        "scenes": _counts(*sides, lambda held: held.scene),
        "contents": _counts(*sides, lambda held: held.sha256),
        "looks": (len(prints[0].names), len(prints[1].names)),
    }
    return Overlap(
        train.title,
        test.title,
        _shared(*sides, lambda held: held.scene),
        contents,
        tuple(one for one in looks if (one.train, one.test) not in same),
        compared,
        (*train.notes, *test.notes),
    )


def _counts(
    train: list[Held], test: list[Held], of: Callable[[Held], str | None]
) -> tuple[int, int]:
    ours, theirs = (sum(of(held) is not None for held in side) for side in (train, test))
    return ours, theirs


def _shared(
    train: list[Held], test: list[Held], of: Callable[[Held], str | None]
) -> tuple[Shared, ...]:
    ours, theirs = _by(train, of), _by(test, of)
    both = sorted(ours.keys() & theirs.keys())
    return tuple(Shared(value, tuple(ours[value]), tuple(theirs[value])) for value in both)


def _by(side: list[Held], of: Callable[[Held], str | None]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for held in side:
        value = of(held)
        if value is not None:
            found.setdefault(value, []).append(held.name)
    return found


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return " ".join(names[:_NAMED]) + more
