"""Whose weights a model was made from, and what their licences allow.

A model inherits from its base model and from every teacher it learnt from. The list travels from
the Checkpoint's manifest to the model version's tags and the export's model card, so that a base
model that was itself trained here brings its teachers along.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from geovr.errors import UserError

COMMERCIAL_TAG, LINEAGE_TAG = "geovr.commercial_use", "geovr.lineage"
UNKNOWN = "unknown"

_ALLOW = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "unlicense",
}  # fmt: skip
_CARD_KEY = "geovr_lineage"
_PLANTED = "planted fault"


class Part(BaseModel):
    """One model that a model was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    """base model, teacher or planted fault."""
    name: str
    license: str
    commercial_use: bool | None
    """None: not known."""


def base_model(directory: Path, declared: str | None) -> list[Part]:
    """What the model card in a model directory says, README.md as hubs have it.

    Args:
        directory: of the model.
        declared: its licence, where the directory doesn't say.

    Raises:
        UserError: when it does say, and something else.
    """
    card = _front_matter(directory / "README.md")
    if _CARD_KEY in card:
        with contextlib.suppress(ValidationError, TypeError):
            parts = [Part.model_validate(part) for part in card[_CARD_KEY]]
            if parts:
                return parts
        return [_part(directory, UNKNOWN)]
    said = str(card["license"]) if card.get("license") else None
    if said and declared and said.lower() != declared.lower():
        raise UserError(
            f"train.base_model_license: {declared}, but {directory / 'README.md'} says {said};"
            " remove the key, or correct what is wrong"
        )
    return [_part(directory, said or declared or UNKNOWN)]


def _part(directory: Path, license: str) -> Part:
    name, known = directory.name, license.lower()
    allowed = True if known in _ALLOW else False if known.startswith("cc-by-nc") else None
    return Part(role="base model", name=name, license=license, commercial_use=allowed)


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML between two lines of dashes at a model card's start; empty when there is none."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    pieces = text.split("---\n", 2)
    if len(pieces) < 3 or pieces[0].strip():
        return {}
    try:
        found = yaml.safe_load(pieces[1])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def teacher(card: dict[str, Any] | None) -> list[Part]:
    """The parts of a teacher, by its card as a TargetSet's manifest has it."""
    if card is None:
        return [Part(role="teacher", name=UNKNOWN, license=UNKNOWN, commercial_use=None)]
    if card.get("parts"):
        return [part for one in card["parts"] for part in teacher(one)]
    return [
        Part(
            role="teacher",
            name=card["name"],
            license=card["license"],
            commercial_use=card["commercial_use"],
        )
    ]


def planted(fault: str | None) -> list[Part]:
    """The part of a fault that was planted into the targets; none where None."""
    if fault is None:
        return []
    return [Part(role=_PLANTED, name=fault, license="not for use", commercial_use=False)]


def barred_by_fault(tags: dict[str, str]) -> str | None:
    """Which faults a version with these tags learnt from; None when from none."""
    parts = [Part.model_validate(part) for part in json.loads(tags.get(LINEAGE_TAG, "[]"))]
    return ", ".join(part.name for part in parts if part.role == _PLANTED) or None


def tags(parts: Sequence[Part]) -> dict[str, str]:
    """The model version's tags: the list, and whether all of it may be used commercially."""
    allowed = {part.commercial_use for part in parts} or {None}
    verdict = "false" if False in allowed else UNKNOWN if None in allowed else "true"
    return {
        LINEAGE_TAG: json.dumps([part.model_dump() for part in parts], sort_keys=True),
        COMMERCIAL_TAG: verdict,
    }


def barred_from_commerce(tags: dict[str, str]) -> str | None:
    """Why a version with these tags may not be used commercially; None when it may."""
    if tags.get(COMMERCIAL_TAG) == "true":
        return None
    parts = [Part.model_validate(part) for part in json.loads(tags.get(LINEAGE_TAG, "[]"))]
    verdicts = {False: "does not allow it", None: "is not known to allow it"}
    reasons = [
        f"{part.role} {part.name} ({part.license}) {verdicts[part.commercial_use]}"
        for part in parts
        if part.commercial_use is not True
    ]
    return "; ".join(reasons) or "its lineage is not recorded"


def model_card(parts: Sequence[Part]) -> str:
    """A README.md for an exported model, with front matter that hubs and `base_model` read."""
    import yaml

    same = {part.license for part in parts}
    license = same.pop() if len(same) == 1 else "other"
    front = {
        "license": license.lower(),
        "library_name": "transformers",
        _CARD_KEY: [part.model_dump() for part in parts],
    }
    lines = [f"- {part.role} {part.name}: {part.license}" for part in parts]
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n"
        "# A Qwen3-VL fine-tuned with GeoVR\n\nMade from, under these licences:\n\n"
        + "\n".join(lines)
        + "\n"
    )
