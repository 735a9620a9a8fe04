"""What a check says, and what the configuration asks of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from geovr.config import Config
from geovr.home import home

State = Literal["ok", "missing", "failed"]


class Finding(Config):
    """One line of the report."""

    name: str
    state: State
    told: str
    """What was found."""
    remedy: str = ""
    """What to do, when it is not ok."""
    required: bool = False
    """Whether the params file asks for it."""


class Trouble(Exception):
    """Raised by a check: what is wrong, and the remedy.

    `missing` is what is not there, `failed` what is there and doesn't work.
    """

    def __init__(self, told: str, remedy: str, state: State = "failed") -> None:
        super().__init__(told)
        self.remedy, self.state = remedy, state


@dataclass(frozen=True)
class Needs:
    """What a params file asks of this machine; without one, what the defaults ask."""

    store: str = ".geovr/store"
    videos: str = ""
    base_model: str = ""
    schedulers: tuple[str, ...] = ()
    dvc: bool = False
    least_free_gb: float = 5.0

    @classmethod
    def of(cls, params: dict[str, Any]) -> Needs:
        """Read from the values of a params file."""
        sections = {name: value for name, value in params.items() if isinstance(value, dict)}
        ingest, train = sections.get("ingest", {}), sections.get("train", {})
        launches = [s.get("launch") or {} for s in sections.values()]
        return cls(
            store=str(params.get("store") or cls.store),
            videos=str(ingest.get("clips") or ingest.get("videos") or ""),
            base_model=str(train.get("base_model") or ""),
            schedulers=tuple(
                sorted({str(launch.get("scheduler", "inline")) for launch in launches})
            ),
            dvc=bool(ingest.get("dvc")),
        )

    @property
    def s3(self) -> bool:
        """Whether anything is on S3."""
        return any(uri.startswith("s3://") for uri in (self.store, self.videos))

    @property
    def places(self) -> tuple[Path, ...]:
        """Directories that are written to, as far as they exist already."""
        import tempfile

        wanted = [home(), Path(tempfile.gettempdir())]
        if not self.store.startswith("s3://"):
            wanted.insert(0, Path(self.store).resolve())
        return tuple(dict.fromkeys(existing(place) for place in wanted))


def existing(place: Path) -> Path:
    """The directory, or the nearest one above it that is there."""
    return next(p for p in (place, *place.parents) if p.is_dir())


Check = Callable[[Needs], str]
"""Gives what it found, or raises Trouble."""
