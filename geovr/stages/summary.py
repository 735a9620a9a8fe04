"""What a stage did, in one form for all of them: a line for people, a mapping for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from geovr.artifacts import Manifest
from geovr.progress import duration

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Summary:
    """Numbers of things by their plural.

    Attributes:
        used: what went into the artifact.
        reused: of these, what was found in the store.
        skipped: what the config leaves out, or shortens.
        quarantined: what could not be used; each is named in the artifact.
    """

    used: Counts
    reused: Counts = field(default_factory=dict)
    skipped: Counts = field(default_factory=dict)
    quarantined: Counts = field(default_factory=dict)

    def text(self) -> str:
        """The four of them, none of which is left out."""
        return "; ".join(f"{name} {_listed(counts)}" for name, counts in asdict(self).items())


def summarise(manifest: Manifest) -> Summary:
    """What the stage did that wrote this manifest."""
    counts, details = manifest.counts, manifest.details
    if manifest.kind == "ClipSet":
        return Summary(
            used={"clips": counts["clips"], "questions": counts["questions"]},
            reused={"clips": int(details.get("reused", 0))},
            quarantined={
                "videos": counts["videos_quarantined"],
                "questions": counts["questions_quarantined"],
            },
        )
    if manifest.kind == "TargetSet":
        return Summary(
            used={"clips": counts["targets"]},
            reused={"targets": int(details.get("reused", 0))},
            skipped={"clips of other splits": counts["clips_of_other_splits"]},
        )
    if manifest.kind == "GateReport":
        return Summary(
            used={"expectations": counts["expectations"]},
            quarantined={
                "failed expectations": counts["failed_critical"],
                "warnings": counts["failed_warning"],
            },
        )
    if manifest.kind == "Checkpoint":
        return Summary(
            used={"clips": counts["clips"], "steps": counts["steps"]},
            skipped={"clips shortened": counts["clips_shortened"]},
        )
    if manifest.kind == "EvalReport":
        return Summary(
            used={"questions": counts["questions"]},
            quarantined={"unparsed answers": counts["unparsed"]},
        )
    return Summary(used=counts)


def line(stage: str, manifest: Manifest, seconds: float, output: str) -> str:
    """The last line of a stage's log."""
    told = summarise(manifest).text()
    return f"{stage}: done in {duration(seconds, 1)}; {told}; wrote {output}"


def mapping(manifest: Manifest) -> dict[str, Any]:
    """The same for `--json`."""
    return asdict(summarise(manifest))


def _listed(counts: Counts) -> str:
    told = [f"{number:,} {name}" for name, number in counts.items() if number]
    return ", ".join(told) or "nothing"
