"""What is probed and how; free of heavy imports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from geovr.config import Config
from geovr.errors import UserError
from geovr.storage import is_s3

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")


class ProbeConfig(Config):
    """Clips, folds and layers of a probe."""

    split: str = Field("test", description="Split of the clips; those of test taught no model.")
    most_clips: int = Field(
        0, ge=0, description="Most clips, evenly spread over the split's; 0: all of them."
    )
    folds: int = Field(
        5, ge=3, le=20, description="Parts of the scenes; each is scored by a fit to the others."
    )
    seed: int = Field(0, ge=0, description="Of the folds and of the bootstrap.")
    layers: tuple[int, ...] | None = Field(
        None, description="Layers to read, from 0, one more than there are: the final norm; null:"
        " all."
    )  # fmt: skip
    resamples: int = Field(1000, gt=0, description="Of the bootstrap over scenes.")
    batch_rows: int = Field(16, gt=0, description="Clips in one forward pass.")


@dataclass(frozen=True)
class Named:
    """A model and what tables call it."""

    name: str
    reference: str


def named(arguments: list[str]) -> list[Named]:
    """Models as they are given: NAME=REFERENCE, or a reference alone, called by its last part.

    Raises:
        UserError: for a name that is none, two of one name, or a directory that holds no model.
    """
    models = []
    for argument in arguments:
        name, equals, reference = argument.partition("=")
        if not equals or "/" in name:
            reference = argument
            name = argument.rstrip("/").rpartition("/")[2]
        if not _NAME.fullmatch(name) or not reference:
            raise UserError(
                f"{argument}: write it as NAME=PATH, the name of letters, digits and spaces,"
                " at most 40 of them"
            )
        if not is_s3(reference) and not reference.startswith("models:"):
            _is_there(argument, Path(reference))
        models.append(Named(name, reference))
    twice = sorted({one.name for one in models if [m.name for m in models].count(one.name) > 1})
    if twice:
        raise UserError(f"two models are called {', '.join(twice)}; name each, as NAME=PATH")
    return models


def _is_there(argument: str, directory: Path) -> None:
    """A missing model is told before others are probed for minutes."""
    if not directory.is_dir():
        raise UserError(
            f"{argument}: no such directory; give a checkpoint that `geovr train` wrote, the"
            " directory of a stock Qwen3-VL, or models:/NAME@ALIAS"
        )
    if not any((directory / name).is_file() for name in ("manifest.json", "config.json")):
        raise UserError(
            f"{argument}: neither a checkpoint (manifest.json) nor a model (config.json); give a"
            " directory that `geovr train` wrote, or that of a stock Qwen3-VL"
        )
