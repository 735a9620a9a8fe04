"""Whether a checkpoint was trained on what it was evaluated on, by the records of the store."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geovr import records
from geovr.artifacts import Checkpoint, ClipSet, EvalReport
from geovr.errors import LostObject
from geovr.leakage.holdings import of_clips
from geovr.leakage.likeness import LikenessConfig
from geovr.leakage.overlap import Overlap, compare
from geovr.storage import Store

TAG = "geovr.leakage"
"""Of a version: `none`, `unknown: why`, or what is shared."""
_UNKNOWN, _NONE = "unknown", "none"
_MOST = 20
_MOST_CHARACTERS = 400


@dataclass(frozen=True)
class Leakage:
    """What a checkpoint's training clips share with those it was tested on; None: not known."""

    overlap: Overlap | None
    why_unknown: str = ""

    @property
    def tag(self) -> str:
        """For the version."""
        if self.overlap is None:
            return f"{_UNKNOWN}: {self.why_unknown}"[:_MOST_CHARACTERS]
        if self.overlap.summary == _NONE and self.overlap.notes:
            # nothing was found, but not everything was looked at
            return f"{_UNKNOWN}: {'; '.join(self.overlap.notes)}"[:_MOST_CHARACTERS]
        return self.overlap.summary

    def told(self) -> dict[str, Any]:
        """For the decision's file; of each kind the first ones."""
        if self.overlap is None:
            return {"leakage": self.tag}
        found = self.overlap
        return {
            "leakage": self.tag,
            "compared": found.compared,
            "shared": found.lines(_MOST),
            "notes": list(found.notes[:_MOST]),
        }


def leakage(checkpoint: Checkpoint, evaluation: EvalReport, limits: LikenessConfig) -> Leakage:
    """Hold the clips that were trained on against those that were tested on.

    Both are found by their digests in the stores of checkpoint and report. What can't be found or
    read there is no error: it is told as unknown, and the policy says what follows.
    """
    uris = dict.fromkeys((checkpoint.manifest.store, evaluation.manifest.store))
    stores = [Store.open(uri) for uri in uris]
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        sides: list[ClipSet] = []
        for what, inputs in (("training", checkpoint.manifest.inputs),
                             ("test", evaluation.manifest.inputs)):  # fmt: skip
            digest = inputs.get("clips")
            if digest is None:
                return Leakage(None, f"which {what} clips were used is not recorded")
            try:
                kept = records.find(stores, "ClipSet", digest)
                if kept is None:
                    return Leakage(None, f"no record of the {what} clips in {', '.join(uris)}")
                sides.append(kept.open(ClipSet, Path(scratch) / what))
            except LostObject as error:
                return Leakage(None, f"the record of the {what} clips can't be read: {error}")
        train = of_clips(sides[0], "train", "training clips")
        return Leakage(compare(train, of_clips(sides[1], "test", "test clips"), limits, "register"))


def forbids(tags: Mapping[str, str], *, leaking: bool, unknown: bool) -> str | None:
    """Why a version must not be promoted, by its tags.

    Args:
        tags: of the version; one without the tag is of an earlier release, so it isn't known.
        leaking: whether one that leaks may be promoted.
        unknown: whether one of which it isn't known may be.
    """
    told = tags.get(TAG, f"{_UNKNOWN}: registered by an earlier release")
    if told.startswith(_UNKNOWN):
        return None if unknown else f"whether it was trained on the benchmark is {told}"
    if told == _NONE or leaking:
        return None
    return f"what it was tested on was trained on: {told}"
