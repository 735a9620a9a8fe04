"""The gate on targets: each planted fault is refused by name; a warning alone is not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geovr.artifacts import ClipSet, GateReport, TargetSet
from geovr.data.clips import CLIP_COLUMNS, QUARANTINE_COLUMNS, QUESTION_COLUMNS
from geovr.data.objects import seal
from geovr.data.targets import GeometryTargets, encode
from geovr.errors import GateRefused
from geovr.stages.check_targets import CheckTargetsConfig, check_targets
from geovr.storage import Store, sha256_bytes

FRAMES = 3
RANDOM = np.random.default_rng(0)


def sound() -> GeometryTargets:
    pose = np.zeros((FRAMES, 9), dtype=np.float32)
    pose[:, 6], pose[:, 7:], pose[1:, 0] = 1, np.radians(60), 0.5
    return GeometryTargets(
        pose_encoding_TK=pose,
        depth_THW=np.full((FRAMES, 4, 5), 2, dtype=np.float32),
        confidence_THW=np.ones((FRAMES, 4, 5), dtype=np.float32),
        metric_scale=1.5,
        metric_scale_valid=True,
        features_NTHWC=RANDOM.normal(size=(4, FRAMES, 2, 2, 64)).astype(np.float32),
    )


def clip_row(number: int) -> dict[str, Any]:
    return {
        "clip_id": f"room-{number}", "scene": f"room-{number}", "split": "train", "kind": "video",
        "moving": True, "video_uri": "x", "video_sha256": f"video{number}",
        "frame_indices": [0, 1, 2], "timestamps": [0.0, 0.5, 1.0], "num_frames": FRAMES,
        "height": 48, "width": 64, "duration": 1.5, "object_key": f"clips/{number}",
        "object_bytes": 3, "object_sha256": "s",
    }  # fmt: skip


class Planted:
    """A sound ClipSet and TargetSet, into which a test plants faults."""

    def __init__(self, root: Path, clips: int = 4) -> None:
        self.root = root
        self.store = Store.open(str(root / "store"))
        self.clips = [clip_row(n) for n in range(clips)]
        self.rows: list[dict[str, Any]] = []
        for number in range(clips):
            row = {"clip_id": f"room-{number}", "video_sha256": f"video{number}"}
            self.rows.append(row | {"object_key": f"targets/{number}", "scale_valid": True})
            self.put(number, encode(sound()))

    def put(self, number: int, data: bytes) -> None:
        sha256 = self.store.put(self.rows[number]["object_key"], data)
        assert sha256 == sha256_bytes(data)
        self.rows[number] |= {"object_bytes": len(data), "object_sha256": sha256}

    def change(self, number: int, **changes: Any) -> None:
        self.put(number, encode(dataclasses.replace(sound(), **changes)))

    def spoil(self, number: int, name: str, place: Any, value: float) -> None:
        tensor = getattr(sound(), name).copy()
        tensor[place] = value
        self.change(number, **{name: tensor})

    def check(self, **config: Any) -> GateReport:
        places = self.root / "clips", self.root / "targets"
        for place in places:
            place.mkdir(exist_ok=True)
        for name, rows, columns in (
            ("index", self.clips, CLIP_COLUMNS),
            ("questions", [], QUESTION_COLUMNS),
            ("quarantine", [], QUARANTINE_COLUMNS),
        ):
            frame = pd.DataFrame(rows, columns=list(columns))
            frame.to_parquet(places[0] / f"{name}.parquet")
        columns = list(self.rows[0]) if self.rows else ["clip_id", "scale_valid"]
        pd.DataFrame(self.rows, columns=columns).to_parquet(places[1] / "index.parquet")
        common: dict[str, Any] = {"inputs": {}, "counts": {}, "store": self.store.uri}
        clips = ClipSet.commit(places[0], config={}, content=self.clips, **common)
        made = {"splits": ["train"]}
        targets = TargetSet.commit(places[1], config=made, content=self.rows, **common)
        settings = CheckTargetsConfig(store=self.store.uri, **config)
        return check_targets(settings, clips=clips, targets=targets, output=self.root / "report")


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


Plant = Callable[[Planted, int], Any]


def depth(value: float, place: Any = (1, 2, 3)) -> Plant:
    return lambda p, n: p.spoil(n, "depth_THW", place, value)


def pose(value: float, frame: int, column: int) -> Plant:
    return lambda p, n: p.spoil(n, "pose_encoding_TK", (frame, column), value)


FAULTS: list[tuple[Plant, str]] = [
    (depth(np.nan), "Depth is a finite number everywhere"),
    (depth(np.inf), "Depth is a finite number everywhere"),
    (depth(np.nan, ...), "Depth is a finite number everywhere"),
    (depth(0), "Surfaces lie in front of the camera"),
    (depth(2000), "Surfaces lie at plausible depth"),
    (pose(np.nan, 1, 0), "Poses are finite numbers"),
    (pose(np.nan, 1, 4), "Quaternions have length one"),
    (pose(1.01, 1, 6), "Quaternions have length one"),
    (pose(0.1, 0, 0), "The first frame is the world"),
    (pose(np.radians(5), 1, 7), "The field of view is one of a camera"),
    (pose(np.radians(175), 1, 8), "The field of view is one of a camera"),
    (lambda p, n: p.change(n, metric_scale=1e4), "The metric scale is plausible"),
    (lambda p, n: p.change(n, metric_scale=np.nan), "The metric scale is plausible"),
    (lambda p, n: p.spoil(n, "features_NTHWC", (1, 0, 0, 0), 0), "none is all zero"),
    (lambda p, n: p.clips[n].update(num_frames=7), "[3] frames, the clip has [7]"),
    (lambda p, n: p.rows[n].update(video_sha256="other"), "made from another video"),
    (lambda p, n: p.rows.append(dict(p.rows[n])), "A clip has targets once"),
    (lambda p, n: p.store.remove(f"targets/{n}"), "no such object"),
    (lambda p, n: p.store.put(f"targets/{n}", encode(sound())[:-1] + b"?"), "damaged"),
    (lambda p, n: p.put(n, seal({"x": np.ones(1)})), "KeyError: 'pose_encoding_TK'"),
    (lambda p, n: p.clips[n].update(clip_id="other"), "the ClipSet has no such clip"),
    (lambda p, n: p.rows[n].update(clip_id="other"), "Every clip that is trained on has targets"),
]
"""A fault in the targets of clip n, and what the gate says about it."""


@pytest.mark.fault(28)
def test_every_planted_fault_is_named_by_its_clip(tmp_path: Path) -> None:
    planted = Planted(tmp_path, clips=len(FAULTS) + 1)
    for number, (plant, _) in enumerate(FAULTS):
        plant(planted, number)
    with pytest.raises(GateRefused) as error:
        planted.check()
    report = json.loads((tmp_path / "report/report.json").read_text())
    failed = [finding for finding in report["findings"] if not finding["success"]]
    critical = [f for f in failed if f["expectation"]["severity"] == "critical"]
    assert failed == critical
    for number, (_, says) in enumerate(FAULTS):
        found = [f["expectation"]["why"] + f["observed"] for f in critical
                 if f"room-{number}" in f["rows"]]  # fmt: skip
        assert any(says in text for text in found), (number, says, found)
    for finding in critical:
        assert finding["expectation"]["why"] in str(error.value)
        assert finding["rows"] and f"room-{len(FAULTS)}" not in finding["rows"]


def test_a_refusal_leaves_a_whole_report_behind(planted: Planted) -> None:
    planted.spoil(2, "depth_THW", (1, 2, 3), np.nan)
    with pytest.raises(GateRefused) as error:
        planted.check()
    kept = list((planted.root / "store/reports/check_targets").glob("*/report.html"))
    assert len(kept) == 1 and str(kept[0]) in str(error.value)
    assert "room-2" in kept[0].read_text()
    report = GateReport.load(planted.root / "report")
    assert report.manifest.details == {"passed": False, "report_uri": str(kept[0])}
    verdict = json.loads((report.directory / "report.json").read_text())
    (failed,) = (f for f in verdict["findings"] if not f["success"])
    assert failed["rows"] == ["room-2"] and failed["unexpected"] == 1
    assert failed["expectation"]["severity"] == "critical"


def test_a_broken_object_is_one_finding(planted: Planted) -> None:
    planted.store.remove("targets/2")
    with pytest.raises(GateRefused):
        planted.check()
    assert GateReport.load(planted.root / "report").manifest.counts["failed_critical"] == 1


def test_no_targets_at_all_names_the_clips(planted: Planted) -> None:
    planted.rows = []
    with pytest.raises(GateRefused, match="Fails for room-0, room-1, room-2, room-3"):
        planted.check()


@pytest.mark.fault(39)
def test_an_undefined_scale_only_warns(planted: Planted, caplog: pytest.LogCaptureFixture) -> None:
    planted.change(0, metric_scale=0.0, metric_scale_valid=False)
    report = planted.check()
    assert report.manifest.details["passed"] is True
    assert report.manifest.counts["failed_warning"] == 1
    assert "Most clips have a metric scale" in caplog.text


def test_the_same_check_again_gives_the_same_report(planted: Planted) -> None:
    first = planted.check()
    pages = len(list((first.directory / "data_docs").rglob("*.html")))
    again = planted.check()
    assert again.digest == first.digest
    assert again.manifest.details == first.manifest.details
    assert len(list((again.directory / "data_docs").rglob("*.html"))) == pages


def test_thresholds_are_the_users(planted: Planted) -> None:
    planted.change(2, metric_scale=1e4)
    report = planted.check(thresholds={"max_scale": 1e5})
    assert report.manifest.details["passed"] is True
