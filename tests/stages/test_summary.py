"""The one line in which every stage says what it did, and the same for machines."""

from __future__ import annotations

from typing import Any

import pytest

from geovr.artifacts import Manifest
from geovr.stages.summary import line, mapping


def manifest(kind: str, counts: dict[str, int], details: dict[str, Any]) -> Manifest:
    values = {
        "kind": kind, "created": {"git_sha": "x", "version": "x"}, "inputs": {}, "config": {},
        "counts": counts, "store": "store", "content_digest": "x", "details": details, "files": {},
    }  # fmt: skip
    return Manifest.model_construct(**values)


CLIPS = {
    "videos_in": 1702, "clips": 1700, "videos_quarantined": 2, "questions_in": 13_600,
    "questions": 13_589, "questions_quarantined": 11,
}  # fmt: skip
ALL = [
    ("ClipSet", CLIPS, {"reused": 1600},
     ("used 1,700 clips, 13,589 questions; reused 1,600 clips; skipped nothing;"
     " quarantined 2 videos, 11 questions")),
    ("TargetSet", {"clips_in": 1700, "targets": 1500, "clips_of_other_splits": 200}, {"reused": 3},
     "used 1,500 clips; reused 3 targets; skipped 200 clips of other splits; quarantined nothing"),
    ("GateReport", {"expectations": 19, "held": 18, "failed_critical": 0, "failed_warning": 1}, {},
     "used 19 expectations; reused nothing; skipped nothing; quarantined 1 warnings"),
    ("Checkpoint", {"steps": 400, "clips": 1500, "clips_shortened": 4}, {},
     "used 1,500 clips, 400 steps; reused nothing; skipped 4 clips shortened; quarantined nothing"),
    ("EvalReport", {"questions": 1599, "answers": 1599, "unparsed": 7}, {},
     "used 1,599 questions; reused nothing; skipped nothing; quarantined 7 unparsed answers"),
    ("ModelVersion", {"versions": 1}, {},
     "used 1 versions; reused nothing; skipped nothing; quarantined nothing"),
]  # fmt: skip


@pytest.mark.parametrize("kind, counts, details, text", ALL, ids=[row[0] for row in ALL])
def test_each_kind_says_what_it_used_skipped_and_put_aside(
    kind: str, counts: dict[str, int], details: dict[str, Any], text: str
) -> None:
    said = line("stage", manifest(kind, counts, details), 75.2, "artifacts/x")
    assert said == f"stage: done in 75.2 s; {text}; wrote artifacts/x"
    told = mapping(manifest(kind, counts, details))
    assert list(told) == ["used", "reused", "skipped", "quarantined"]


def test_what_went_in_is_used_or_put_aside() -> None:
    told = mapping(manifest("ClipSet", CLIPS, {"reused": 0}))
    assert told["used"]["clips"] + told["quarantined"]["videos"] == CLIPS["videos_in"]
    assert told["used"]["questions"] + told["quarantined"]["questions"] == CLIPS["questions_in"]
