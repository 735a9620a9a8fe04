"""The gate on clips: each planted fault is refused by name; a warning alone is not."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from geovr.artifacts import ClipSet
from geovr.data.clips import CLIP_COLUMNS, QUARANTINE_COLUMNS, QUESTION_COLUMNS
from geovr.data.fingerprint import VERSION
from geovr.errors import GateRefused
from geovr.quality.suites import suite_digest
from geovr.stages.check_clips import CheckClipsConfig, check_clips
from geovr.storage import Store

fault = pytest.mark.fault


def fingerprints(seed: str) -> list[str]:
    """Of four frames that no other clip has."""
    return [hashlib.sha256(f"{seed} {n}".encode()).hexdigest()[:32] for n in range(4)]


def clip(number: int, split: str) -> dict[str, Any]:
    return {
        "clip_id": f"rooms/{split}-{number}", "scene": f"{split}-{number}", "split": split,
        "kind": "video", "moving": True, "video_uri": "x", "video_sha256": f"{split}{number}",
        "frame_indices": [0, 1], "timestamps": [0.0, 0.5], "num_frames": 2, "height": 48,
        "width": 64, "duration": 1.0, "object_key": f"clips/{split}{number}", "object_bytes": 3,
        "object_sha256": "s", "fingerprint": fingerprints(f"{split}{number}"),
    }  # fmt: skip


def question(number: int, split: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{split}{number}", "clip_id": f"rooms/{split}-{number}", "split": split,
        "kind": "turn", "question": "?", "options": ["A. x", "B. y"], "answer": "AB"[number % 2],
        "source": f"{split}.jsonl:{number}",
    } | changes  # fmt: skip


class Planted:
    """A sound ClipSet of 20 clips, into which a test plants a fault."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clips = [clip(n, s) for s in ("train", "test") for n in range(10)]
        self.questions = [question(n, s) for s in ("train", "test") for n in range(10)]
        self.quarantine: list[dict[str, str]] = []
        store = Store.open(str(root / "store"))
        for row in self.clips:
            store.put(row["object_key"], b"abc")

    def check(self) -> Any:
        directory = self.root / "clips"
        directory.mkdir(exist_ok=True)
        tables = (
            ("index", self.clips, CLIP_COLUMNS),
            ("questions", self.questions, QUESTION_COLUMNS),
            ("quarantine", self.quarantine, QUARANTINE_COLUMNS),
        )
        for name, rows, columns in tables:
            frame = pd.DataFrame(rows, columns=list(columns))
            frame.to_parquet(directory / f"{name}.parquet")
        aside = [row["what"] for row in self.quarantine]
        clips = ClipSet.commit(
            directory,
            inputs={},
            config={},
            counts={
                "videos_in": len(self.clips) + aside.count("video"),
                "videos_quarantined": aside.count("video"),
                "questions_in": len(self.questions) + aside.count("question"),
                "questions_quarantined": aside.count("question"),
            },
            store=str(self.root / "store"),
            content=[self.clips, self.questions],
            details={"fingerprint": VERSION},
        )
        config = CheckClipsConfig(store=str(self.root / "store"))
        return check_clips(config, clips=clips, output=self.root / "report")


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


def test_a_sound_set_passes_with_a_report_for_people_and_machines(planted: Planted) -> None:
    report = planted.check()
    assert report.manifest.details["passed"] is True
    page = (report.directory / "report.html").read_text()
    assert "passed" in page and not re.search(r"https?://", page)
    assert "prefers-color-scheme" in page and "viewport" in page
    verdict = json.loads((report.directory / "report.json").read_text())
    assert all(finding["success"] for finding in verdict["findings"])
    assert list((report.directory / "data_docs").rglob("index.html"))


def leak_scene(p: Planted) -> None:
    p.clips[0]["scene"] = p.clips[10]["scene"]


def leak_content(p: Planted) -> None:
    p.clips[0]["video_sha256"] = p.clips[10]["video_sha256"]


def leak_look(p: Planted) -> None:
    p.clips[0]["fingerprint"] = p.clips[10]["fingerprint"]


def leak_other_scan(p: Planted) -> None:
    p.clips[0]["scene"], p.clips[10]["scene"] = "scene0011_00", "scene0011_01"


def leak_clip(p: Planted) -> None:
    p.questions[0]["clip_id"] = p.questions[10]["clip_id"]


def two_of_a_name(p: Planted) -> None:
    p.clips[1]["clip_id"] = p.clips[0]["clip_id"]


def time_stands_still(p: Planted) -> None:
    p.clips[3]["timestamps"] = [0.5, 0.5]


def object_is_gone(p: Planted) -> None:
    Store.open(str(p.root / "store")).remove(p.clips[4]["object_key"])


def object_is_short(p: Planted) -> None:
    Store.open(str(p.root / "store")).put(p.clips[4]["object_key"], b"a")


def question_of_nobody(p: Planted) -> None:
    p.questions[2]["clip_id"] = "rooms/none"


def letter_outside(p: Planted) -> None:
    p.questions[5]["answer"] = "C"


def not_a_number(p: Planted) -> None:
    p.questions[6] |= {"options": None, "answer": "many"}


def one_id_twice(p: Planted) -> None:
    p.questions[7]["id"] = p.questions[8]["id"]


def many_put_aside(p: Planted) -> None:
    p.quarantine = [{"what": "video", "name": f"{n}.mp4", "reason": "r", "remedy": "m"}
                    for n in range(4)]  # fmt: skip


@pytest.mark.parametrize(
    "plant, why, row",
    [
        pytest.param(
            leak_scene, "No scene is trained on and tested on", "rooms/test-0", marks=fault(21)
        ),
        pytest.param(
            leak_content,
            "No video's bytes are trained on and tested on",
            "rooms/train-0",
            marks=fault(21),
        ),
        pytest.param(
            leak_clip, "No scene is trained on and tested on", "rooms/test-0", marks=fault(21)
        ),
        pytest.param(
            leak_look,
            "in another encoding",
            "rooms/train-0 = rooms/test-0. e.g. 4 of 4 frames are alike, 0.0 of 128 bits",
            marks=fault(21),
        ),
        pytest.param(
            leak_other_scan,
            "No scene is trained on and tested on",
            "scannet/scene0011. e.g. train: rooms/train-0; test: rooms/test-0",
            marks=fault(21),
        ),
        (two_of_a_name, "A clip has one name", "rooms/train-0"),
        (time_stands_still, "Frames follow each other in time", "rooms/train-3"),
        pytest.param(object_is_gone, "object is in the store", "rooms/train-4", marks=fault(28)),
        pytest.param(object_is_short, "object is in the store", "rooms/train-4", marks=fault(28)),
        (question_of_nobody, "A question's clip is there", "train.jsonl:2"),
        pytest.param(
            letter_outside, "one of the options, or a number", "train.jsonl:5", marks=fault(19)
        ),
        pytest.param(
            not_a_number, "one of the options, or a number", "train.jsonl:6", marks=fault(19)
        ),
        pytest.param(one_id_twice, "A question has one id", "train.jsonl:7", marks=fault(19)),
        pytest.param(many_put_aside, "Few videos were put aside", "0.mp4, 1.mp4", marks=fault(20)),
    ],
)
def test_planted_faults_are_refused_by_name(
    planted: Planted, plant: Any, why: str, row: str
) -> None:
    plant(planted)
    with pytest.raises(GateRefused) as error:
        planted.check()
    assert why in str(error.value) and row in str(error.value)
    kept = list((planted.root / "store/reports/check_clips").glob("*/report.html"))
    assert len(kept) == 1 and "refused" in kept[0].read_text()
    assert str(kept[0]) in str(error.value)


def test_a_warning_alone_does_not_refuse(planted: Planted) -> None:
    planted.clips[1]["video_sha256"] = planted.clips[0]["video_sha256"]
    report = planted.check()
    assert report.manifest.details["passed"] is True
    assert report.manifest.counts["failed_warning"] == 1


def test_a_suites_digest_changes_with_its_expectations(monkeypatch: pytest.MonkeyPatch) -> None:
    from geovr.quality import clips

    before = suite_digest("check_clips")
    assert before == suite_digest("check_clips") != suite_digest("check_targets")
    real = clips.suite
    monkeypatch.setattr(clips, "suite", lambda limits: real(limits)[1:])
    assert suite_digest("check_clips") != before
