"""A model by what users call it: a registered version, a checkpoint, or a stock directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from geovr import records
from geovr.artifacts import Checkpoint
from geovr.data.input import InputConfig
from geovr.data.sampling import SamplerConfig
from geovr.errors import UserError
from geovr.model_registry import CHECKPOINT_TAG, find_version
from geovr.promotion.champion import STORE_TAG
from geovr.storage import Store


@dataclass(frozen=True)
class Answering:
    """A model's files, and how it was taught to see and to answer.

    Attributes:
        directory: a stock Qwen3-VL.
        called: what it is, for people.
        sampler: how frames were chosen for its training; the default when nobody knows.
        shown: how clips were put before it.
        binned: numbers are one token of 8 % steps.
    """

    directory: Path
    called: str
    sampler: SamplerConfig
    shown: InputConfig
    binned: bool


@contextmanager
def answering(reference: str) -> Iterator[Answering]:
    """The model that a reference names, its files verified and at hand while the block runs.

    Args:
        reference: models:/NAME@ALIAS, models:/NAME/VERSION, a checkpoint's directory or s3:// URI,
            or the directory of a stock Qwen3-VL.

    Raises:
        UserError: when there is no such model; it says what was looked for.
    """
    with TemporaryDirectory(prefix="geovr-") as scratch:
        if reference.startswith("models:"):
            checkpoint, called = _registered(reference, Path(scratch) / "checkpoint")
        elif (Path(reference) / "config.json").is_file():
            shown = InputConfig(max_tokens=None)
            yield Answering(Path(reference), reference, SamplerConfig(), shown, binned=False)
            return
        else:
            checkpoint, called = Checkpoint.load(reference), reference
        details = checkpoint.manifest.details
        files = checkpoint.store.get_directory(
            details["prefix"], details["files"], Path(scratch) / "model"
        )
        shown = InputConfig.model_validate(checkpoint.manifest.config["input"])
        yield Answering(
            files,
            called,
            _sampler(checkpoint),
            shown.model_copy(update={"max_tokens": None}),
            binned=details.get("numeric_answers") == "binned",
        )


def _registered(reference: str, scratch: Path) -> tuple[Checkpoint, str]:
    version = find_version(reference)
    store = Store.open(version.tags[STORE_TAG])
    kept = records.find([store], "Checkpoint", version.tags[CHECKPOINT_TAG])
    if kept is None:
        raise UserError(
            f"{reference}: version {version.number}'s checkpoint has no record in {store.uri}"
        )
    return kept.open(Checkpoint, scratch), f"{version.name} version {version.number}"


def _sampler(checkpoint: Checkpoint) -> SamplerConfig:
    """That of the clips it was trained on, where they are on record."""
    clips = checkpoint.manifest.inputs.get("clips")
    kept = records.find([checkpoint.store], "ClipSet", clips) if clips else None
    if kept is None:
        return SamplerConfig()
    return SamplerConfig.model_validate(kept.made.manifest.details["sampler"])
