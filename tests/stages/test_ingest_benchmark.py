"""A published benchmark goes through ingest: its ids, kinds, options, scenes and media."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import ClipSet
from geovr.config import validate
from geovr.data.clips import read_clip
from geovr.errors import GateRefused, UserError
from geovr.evaluation.benchmarks.lock import write_lock
from geovr.evaluation.benchmarks.table import BENCHMARKS
from geovr.evaluation.benchmarks.verify import record
from geovr.evaluation.protocol import Asked
from geovr.evaluation.protocols import protocol_named
from geovr.stages.check_clips import CheckClipsConfig, check_clips
from geovr.stages.ingest import IngestConfig, ingest
from geovr.storage import Store
from tests import published


def run(root: Path, name: str) -> ClipSet:
    source = {"name": name, "path": str(root / "published")}
    config = IngestConfig(store=str(root / "store"), workers=2, benchmark=source)  # type: ignore[arg-type]
    return ingest(config, output=root / "clips")


def asked(clips: ClipSet) -> dict[str, Any]:
    return {row.id: row for row in clips.questions.itertuples(index=False)}


def test_vsi_bench_becomes_a_clip_set_with_its_ids_kinds_and_options(tmp_path: Path) -> None:
    root = published.vsi(tmp_path / "published")
    source = BENCHMARKS["vsi-bench-debiased"]
    write_lock(root, record(source, root, "c" * 40))
    clips = run(tmp_path, "vsi-bench")
    questions = asked(clips)
    assert set(questions) == {"0", "1", "2"} and set(clips.questions["split"]) == {"test"}
    assert questions["1"].kind == "object_rel_direction_easy"
    assert list(questions["1"].options) == ["A. left", "B. right"]
    assert questions["1"].answer == "B" and questions["0"].options is None
    assert {row.clip_id: row.scene for row in clips.index.itertuples(index=False)} == {
        "scannet/scene0011_00": "scene0011_00", "arkitscenes/41069025": "41069025",
    }  # fmt: skip
    # the tables, archives and the record beside the videos are no inputs that failed
    assert len(clips.quarantine) == 0
    # the table's number: the directory of this test has three of them
    assert clips.manifest.details["benchmark"] == {
        "benchmark": "vsi-bench", "revision": "c" * 40, "questions": 5130,
    }  # fmt: skip
    assert json.loads(questions["1"].extra) == {"dataset": "arkitscenes", "pruned": True}
    row: Asked = questions["1"]
    assert "Options:\nA. left\nB. right" in protocol_named("vsi-bench/official").render(row)


def test_a_missing_video_puts_its_questions_aside_by_id(tmp_path: Path) -> None:
    root = published.vsi(tmp_path / "published")
    (root / "arkitscenes/41069025.mp4").unlink()
    clips = run(tmp_path, "vsi-bench")
    assert set(asked(clips)) == {"0", "2"}
    (fault,) = clips.quarantine.itertuples(index=False)
    assert fault.name == "vsi-bench:1" and "arkitscenes/41069025.mp4" in fault.reason
    assert clips.manifest.counts["questions_in"] == 3


def test_questions_about_several_images_are_clips_without_motion(tmp_path: Path) -> None:
    published.mmsi(tmp_path / "published")
    clips = run(tmp_path, "mmsi-bench")
    (row,) = clips.index.itertuples(index=False)
    assert (row.kind, row.moving, row.num_frames) == ("images", False, 2)
    clip = read_clip(Store.open(clips.manifest.store), row)
    brightness = clip.frames_THWC[:, -1, -1, 0].tolist()
    assert brightness == [13, 16], "the images in their order"
    (question,) = asked(clips).values()
    assert question.clip_id == row.clip_id and question.answer == "D"
    files = [p for p in (tmp_path / "store/cache").rglob("*") if p.is_file()]
    assert len(files) == 2 and not list((tmp_path / "published").glob("images"))
    again = run(tmp_path, "mmsi-bench")
    assert again.digest == clips.digest and again.manifest.details["decoded"] == 0


def test_an_answer_in_words_is_kept_and_one_that_nobody_can_score_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.spar(tmp_path / "published")
    clips = run(tmp_path, "spar-bench")
    question = asked(clips)["view_change_infer_3"]
    assert question.options is None and question.answer == "move_right:0.3,rotate_left:20"
    assert len(asked(clips)) == 3 and not len(clips.quarantine)
    # of a benchmark words are an answer; of other questions they are a fault
    config = CheckClipsConfig(store=str(tmp_path / "store"))
    passed = check_clips(config, clips=clips, output=tmp_path / "report")
    assert passed.manifest.details["passed"]
    others = {**clips.manifest.details, "benchmark": None}
    clips.manifest = clips.manifest.model_copy(update={"details": others})
    with pytest.raises(GateRefused, match="is no number from zero up"):
        check_clips(config, clips=clips, output=tmp_path / "report")
    for answer in ("-1.5", "nan", "inf"):
        # without an option to choose, such an answer fits no score
        rows = published.vsi_rows()
        rows[0]["ground_truth"] = answer
        published.vsi(tmp_path / answer / "published")
        published.jsonl(tmp_path / answer / "published/test.jsonl", rows)
        (fault,) = run(tmp_path / answer, "vsi-bench").quarantine.itertuples(index=False)
        assert fault.name == "vsi-bench:0" and "below zero, not finite, or empty" in fault.reason


@pytest.mark.parametrize("name", published.LAYOUTS)
def test_every_benchmark_goes_through(name: str, tmp_path: Path) -> None:
    published.LAYOUTS[name](tmp_path / "published")
    clips = run(tmp_path, name)
    counts = clips.manifest.counts
    assert counts["questions"] >= 1 and counts["videos_quarantined"] == 0
    assert counts["questions_in"] == counts["questions"] + counts["questions_quarantined"]
    # no clip that nothing is asked about
    assert set(clips.index["clip_id"]) == set(clips.questions["clip_id"])
    kinds = set(clips.index["kind"])
    video = BENCHMARKS[name].media_type == "video"
    assert kinds == {"video"} if video else kinds <= {"image", "images"}


def test_a_benchmark_is_the_only_source_and_a_known_one(tmp_path: Path) -> None:
    source = {"name": "vsi-bench", "path": "x"}
    for more in ({"videos": "x"}, {"clips": "x"}, {"questions": [{"path": "q", "split": "test"}]}):
        with pytest.raises(UserError, match=r"give one of|brings its own"):
            validate(IngestConfig, {"benchmark": source, **more}, source="params.yaml")
    with pytest.raises(UserError, match="vsi: not a known name; known are vsi-bench"):
        run(tmp_path, "vsi")
    with pytest.raises(UserError, match=r"no such directory; get it by `geovr benchmark fetch`"):
        run(tmp_path, "vsi-bench")
    published.vsi(tmp_path / "published")
    for path in (tmp_path / "published").rglob("*.mp4"):
        path.unlink()
    with pytest.raises(UserError, match="none of the media"):
        run(tmp_path, "vsi-bench")
