"""Every published layout becomes the same record; what is no question is told by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from geovr.errors import UserError
from geovr.evaluation.benchmarks.item import (
    BenchmarkItem,
    RecordError,
    inline_options,
    letter_of,
    lettered,
    literal,
)
from geovr.evaluation.benchmarks.reader import Fault, locate, read
from geovr.evaluation.benchmarks.table import BENCHMARKS, DATASETS
from geovr.storage import sha256_bytes
from tests import published


def items(name: str, root: Path) -> list[BenchmarkItem]:
    found = list(read(BENCHMARKS[name], root))
    assert all(isinstance(one, BenchmarkItem) for one in found), found
    return found  # type: ignore[return-value]


EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    # id, scene, kind, question, options, answer, media (names, or a count of embedded images)
    "vsi-bench": [
        ("0", "scene0011_00", "object_counting", "How many chair(s)?", None, "4",
         ["scannet/scene0011_00.mp4"]),
        ("1", "41069025", "object_rel_direction_easy", "Left or right?",
         ("A. left", "B. right"), "B", ["arkitscenes/41069025.mp4"]),
        ("2", "scene0011_00", "room_size_estimation", "How large?", None, "21.3",
         ["scannet/scene0011_00.mp4"]),
    ],
    "revsi-16": [
        ("16:1", "scene0011_00", "object_counting_single", "How many lamps?", None, "3",
         ["16_frame/scene0011_00.mp4"]),
        ("16:2", "scene0011_00", "object_rel_distance_closest", "Which is closest?",
         ("A. bed", "B. sofa"), "A", ["16_frame/scene0011_00.mp4"]),
    ],
    "vsti-bench": [
        ("7", "scene0011_00", "camera_displacement", "How far?", None, "1.4",
         ["scannet/videos/scene0011_00.mp4"]),
        ("8", "scene0011_00", "camera_movement_direction", "Where to?", ("A. left", "B. right"),
         "A", ["scannet/videos/scene0011_00.mp4"]),
    ],
    "sti-bench": [
        ("000013.mp4|0|1.5|4.0", "000013", "Speed & Acceleration",
         "From 1.5 seconds to 4.0 seconds. How fast?", ("A. 1 m/s", "B. 2 m/s", "C. 9 m/s"), "B",
         ["000013.mp4"]),
        ("000013.mp4|0|5.0|6.0", "000013", "Pose Estimation",
         "From 5.0 seconds to 6.0 seconds. Which pose?", ("A. up", "B. down"), "A", ["000013.mp4"]),
    ],
    "spbench-mv": [
        ("1", "scene0015_00", "object_counting", "How many?", None, "3",
         ["scene0015_00/1.jpg", "scene0015_00/9.jpg"]),
        ("2", "scene0015_00", "object_rel_distance", "Nearest?", ("A. 2", "B. 7"), "A",
         ["scene0015_00/1.jpg", "scene0015_00/9.jpg"]),
    ],
    "spar-bench": [
        ("depth_prediction_oc_1", "item depth_prediction_oc_1", "depth_prediction_oc",
         "How deep is the bed?", None, "2.5", 1),
        ("obj_spatial_relation_oo_2", "item obj_spatial_relation_oo_2", "obj_spatial_relation_oo",
         "Where?\nA. left B. right\nC. above D. below",
         ("A. left", "B. right", "C. above", "D. below"), "C", 1),
        ("view_change_infer_3", "item view_change_infer_3", "view_change_infer",
         "How did it move?", None, "move_right:0.3,rotate_left:20", 2),
    ],
    "mmsi-bench": [
        ("0", "item 0", "Motion (Cam.)",
         "How did I turn?\nOptions: A: left, B: right, C: up, D: not at all",
         ("A. left", "B. right", "C. up", "D. not at all"), "D", 2),
    ],
    "viewspatial-bench": [
        ("1", "scene0011_00", "Camera perspective - Relative Direction", "Where is the counter?",
         ("A. right", "B. front-up", "C. back-left", "D. front"), "A",
         ["ViewSpatial-Bench/scannetv2_val/scene0011_00/original_images/280.jpg"]),
    ],
    "mindcube-tiny": [
        ("among_group001_q0_1_1", "other_all_image/among/plant", "among",
         "Based on these images: what is to my left? A. Sofa B. Door C. Plant D. Bed",
         ("A. Sofa", "B. Door", "C. Plant", "D. Bed"), "C",
         [f"other_all_image/among/plant/{view}_{n}.png" for n, view in enumerate("fblr")]),
    ],
    "cv-bench": [
        ("5", "x.jpg", "Count", "How many? Select from the following choices.\n(A) 3\n(B) 2\n(C) 1",
         ("A. 3", "B. 2", "C. 1"), "B", 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_layout_is_read(name: str, tmp_path: Path) -> None:
    root = published.LAYOUTS[name](tmp_path)
    source = BENCHMARKS[name]
    found = items(name, root)
    told = []
    for item in found:
        assert item.benchmark == name and item.media_type == source.media_type
        names = [medium.name for medium in item.media]
        embedded = [medium for medium in item.media if medium.data is not None]
        for medium in embedded:
            assert medium.data is not None and medium.sha256 == sha256_bytes(medium.data)
            assert medium.sha256[:32] in medium.name
        if not embedded:
            assert all(locate(source, root, one) for one in names)
        told.append(
            (item.id, item.scene, item.kind, item.question, item.options, item.answer,
             len(embedded) or names)
        )  # fmt: skip
    assert told == EXPECTED[name]


def test_blink_gives_its_spatial_tasks_and_only_the_images_there_are(tmp_path: Path) -> None:
    found = items("blink-spatial", published.blink(tmp_path))
    assert {item.kind for item in found} == {
        "Relative_Depth", "Spatial_Relation", "Multi-view_Reasoning", "Visual_Correspondence",
        "Semantic_Correspondence", "Functional_Correspondence",
    }  # fmt: skip
    assert sorted(len(item.media) for item in found) == [1, 1, 1, 2, 2, 2]
    assert {item.options for item in found} == {("A. A is closer", "B. B is closer")}
    assert {item.answer for item in found} == {"A"}
    (tmp_path / "Relative_Depth/val-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match=r"Relative_Depth/val-\*\.parquet missing"):
        list(read(BENCHMARKS["blink-spatial"], tmp_path))


def test_the_debiased_and_the_pruned_part_of_vsi_bench(tmp_path: Path) -> None:
    root = published.vsi(tmp_path)
    by_part = {p: [i.id for i in items(f"vsi-bench-{p}", root)] for p in ("debiased", "pruned")}
    assert by_part == {"debiased": ["0", "2"], "pruned": ["1"]}
    without = [{k: v for k, v in row.items() if k != "pruned"} for row in published.vsi_rows()]
    published.jsonl(root / "test.jsonl", without)
    assert [item.id for item in items("vsi-bench-debiased", root)] == ["0", "2"]
    (root / "pruned_ids.txt").unlink()
    with pytest.raises(UserError, match="doesn't say which questions are pruned"):
        items("vsi-bench-debiased", root)
    published.parquet(root / "test_debiased.parquet", without[:1])
    assert [item.id for item in items("vsi-bench-debiased", root)] == ["0"]


def test_tables_of_the_leaderboard(tmp_path: Path) -> None:
    """One layout for all: literal lists, base64 images, a column a letter."""
    published.tsv(tmp_path / "a/VSI-Bench.tsv", [
        {"index": "0", "video": "scannet/s.mp4", "question": "How many?", "candidates": "",
         "answer": "4", "question_type": "object_counting"},
        {"index": "1", "video": "scannet/s.mp4", "question": "Where?",
         "candidates": "['A. left', 'B. right']", "answer": "B",
         "question_type": "object_rel_direction_easy"},
    ])  # fmt: skip
    first, second = items("vsi-bench", tmp_path / "a")
    assert (first.options, first.answer, first.media[0].name) == (None, "4", "scannet/s.mp4")
    assert (second.options, second.answer) == (("A. left", "B. right"), "B")
    two = json.dumps([published.encoded(1), published.encoded(2)])
    published.tsv(tmp_path / "b/MMSIBench_wo_circular.tsv", [
        {"index": "3", "image": two, "question": "Turned?", "A": "left", "B": "right",
         "answer": "A", "category": "Motion-Cam"},
        {"index": "4", "image": published.encoded(3), "question": "Moved?", "A": "up", "B": "down",
         "answer": "B", "category": "Motion-Cam"},
    ])  # fmt: skip
    third, fourth = items("mmsi-bench", tmp_path / "b")
    assert (third.options, [len(i.media) for i in (third, fourth)]) == (
        ("A. left", "B. right"), [2, 1],
    )  # fmt: skip
    assert third.media[0].data == published.image_bytes(1)
    published.tsv(tmp_path / "c/STIBench.tsv", [
        {"index": "9", "video": "1.mp4", "time_start": "0", "time_end": "3.5", "question": "Fast?",
         "options": "['1 m/s', '2 m/s']", "answer": "B", "task_type": "Speed & Acceleration"},
    ])  # fmt: skip
    (sti,) = items("sti-bench", tmp_path / "c")
    assert (sti.question, sti.options) == (
        "From 0 seconds to 3.5 seconds. Fast?", ("A. 1 m/s", "B. 2 m/s"),
    )  # fmt: skip


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no answer": ({"ground_truth": None}, "field 'ground_truth' is missing"),
    "a letter outside": ({"options": ["A. x", "B. y"], "ground_truth": "C"}, "none of its options"),
    "options that are code": (
        {"options": "__import__('os').system('true')", "ground_truth": "A"}, "no literal",
    ),
    "a medium that escapes": ({"scene_name": "../../../etc/x"}, "leads out of the directory"),
    "no scene": ({"scene_name": ""}, "field 'scene_name' is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_record_that_is_no_question_is_told_and_the_others_are_read(
    name: str, tmp_path: Path
) -> None:
    changes, reason = BROKEN[name]
    rows = published.vsi_rows()
    published.jsonl(tmp_path / "test.jsonl", [rows[0], rows[2] | changes, rows[1]])
    found = list(read(BENCHMARKS["vsi-bench"], tmp_path))
    faults = [one for one in found if isinstance(one, Fault)]
    assert [fault.source for fault in faults] == ["test.jsonl:2"] and reason in faults[0].reason
    assert [one.id for one in found if isinstance(one, BenchmarkItem)] == ["0", "1"]


def test_an_image_that_is_none_is_told(tmp_path: Path) -> None:
    for image, reason in ((b"GIF89a", "neither a JPEG nor a PNG"), (b"", "no bytes")):
        row = {"id": 1, "images": [image], "question_type": "MSR", "question": "?", "answer": "A"}
        published.parquet(tmp_path / "MMSI_Bench.parquet", [row])
        (fault,) = read(BENCHMARKS["mmsi-bench"], tmp_path)
        assert isinstance(fault, Fault) and reason in fault.reason


@pytest.mark.parametrize(
    "text",
    ["os.system('true')", "[1, x]", "__import__('os')", "(lambda: 1)()", "[" * 100_000, "1 if 1",
     "[" + "'a'," * 40_000 + "]", ""],
)  # fmt: skip
def test_a_literal_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="literal"):
        literal(text)


def test_literals_of_both_notations() -> None:
    assert literal("['a', \"b's\"]") == ["a", "b's"] == literal('["a", "b\'s"]')
    assert literal("{'A': None, 'B': 'x'}") == {"A": None, "B": "x"}


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Where? A. left B. right", ("A. left", "B. right")),
        ("Which?\n(A) the bed\n(B) a sofa", ("A. the bed", "B. a sofa")),
        ("Options: A: x, B: y, C: z", ("A. x", "B. y", "C. z")),
        ("Is vitamin A. good?", None),
        ("A. only one", None),
        ("Plan A. is old. A. go B. stay", ("A. go", "B. stay")),
        ("B. comes first A. then", None),
    ],
)
def test_options_inside_a_question(question: str, options: tuple[str, ...] | None) -> None:
    assert inline_options(question) == options


@pytest.mark.parametrize(
    ("answer", "letter"), [("B", "B"), ("b", "B"), ("(B)", "B"), ("B. two", "B"), ("two", "B")]
)
def test_the_letter_of_an_answer(answer: str, letter: str) -> None:
    assert letter_of(answer, ("A. one", "B. two")) == letter


def test_an_option_that_begins_like_a_letter_is_a_text() -> None:
    options = lettered(("A dog", "B side"))
    assert options == ("A. A dog", "B. B side")
    assert letter_of("A dog", ("A. the cat", "B. A dog")) == "B"


def test_the_table_is_consistent() -> None:
    """A pin is a full commit hash, what has none says why, and no digest is a guess."""
    for name, source in (BENCHMARKS | DATASETS).items():
        assert name == source.name
        if source.revision is None:
            assert source.unpinned, name
        else:
            assert len(source.revision) == 40 and int(source.revision, 16) >= 0, name
        assert all(len(sha256) == 64 for sha256 in source.sha256.values())
        assert source.licence and source.fetch and source.questions
