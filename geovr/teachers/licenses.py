"""Whose weights a teacher has, and what they may be used for.

A model learns from a teacher's targets, so a teacher's licence follows them: it is in the card that
goes from the TargetSet's manifest to the model version's tags. The entries were read from the
model cards; a lawyer's word stands above this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from geovr.errors import UserError
from geovr.teachers.base import TeacherCard

RANDOM_LICENSE = "none (random initialisation)"


@dataclass(frozen=True)
class WeightsLicense:
    """Licence of one set of weights, and the hub repository they are published in."""

    license: str
    commercial_use: bool
    source: str


TEACHER_WEIGHTS = {
    "VGGT-1B": WeightsLicense("CC-BY-NC-4.0", False, "facebook/VGGT-1B"),
    "VGGT-1B-Commercial": WeightsLicense(
        "VGGT-License (no military use)", True, "facebook/VGGT-1B-Commercial"
    ),
    "VGGT-Omega-1B-512": WeightsLicense(
        "FAIR-Noncommercial-Research", False, "facebook/VGGT-Omega"
    ),
    "DA3-GIANT-1.1": WeightsLicense("CC-BY-NC-4.0", False, "depth-anything/DA3-GIANT-1.1"),
    "DA3-GIANT": WeightsLicense("CC-BY-NC-4.0", False, "depth-anything/DA3-GIANT"),
    "DA3-LARGE-1.1": WeightsLicense("CC-BY-NC-4.0", False, "depth-anything/DA3-LARGE-1.1"),
    "DA3-LARGE": WeightsLicense("CC-BY-NC-4.0", False, "depth-anything/DA3-LARGE"),
    "DA3-BASE": WeightsLicense("Apache-2.0", True, "depth-anything/DA3-BASE"),
    "DA3-SMALL": WeightsLicense("Apache-2.0", True, "depth-anything/DA3-SMALL"),
    "DA3METRIC-LARGE": WeightsLicense("Apache-2.0", True, "depth-anything/DA3METRIC-LARGE"),
}


def card_of(teacher: str, checkpoint: str, weights_digest: str, *, random: bool) -> TeacherCard:
    """The card of a teacher with some weights.

    Random weights are no one's, but what they say is noise: no profile should promote a model that
    learned from them, so their card forbids it.

    Raises:
        UserError: for weights that aren't in the registry.
    """
    if checkpoint not in TEACHER_WEIGHTS:
        raise UserError(
            f"{checkpoint}: no such teacher weights in the licence registry; it has"
            f" {', '.join(TEACHER_WEIGHTS)}"
        )
    entry = TEACHER_WEIGHTS[checkpoint]
    return TeacherCard(
        name=f"{teacher}/{checkpoint}",
        license=RANDOM_LICENSE if random else entry.license,
        commercial_use=entry.commercial_use and not random,
        weights_digest=weights_digest,
    )


def compose(*parts: TeacherCard) -> TeacherCard:
    """The card of teachers that speak as one: all licences hold, and the strictest use."""
    if len(parts) == 1:
        return parts[0]
    return TeacherCard(
        name=" + ".join(part.name for part in parts),
        license=" AND ".join(dict.fromkeys(part.license for part in parts)),
        commercial_use=all(part.commercial_use for part in parts),
        weights_digest="+".join(part.weights_digest for part in parts),
        parts=parts,
    )
