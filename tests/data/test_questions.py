"""Question files: each record becomes a question, or is put aside by line with a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geovr.data.questions import Question, QuestionFile, read_questions
from geovr.errors import UserError

CHOICE = "Which is nearer?\nOptions:\nA. the chair\nB. the table\nAnswer with the option's letter."


def turns(asked: str = "How far?", told: Any = "2.5") -> list[dict[str, Any]]:
    return [{"from": "human", "value": f"<image>\n{asked}"}, {"from": "gpt", "value": told}]


def vsi590k(**changes: Any) -> dict[str, Any]:
    record = {"conversations": turns(), "video": "a/b.mp4", "question_type": "distance"}
    return record | changes


def vlm3r(**changes: Any) -> dict[str, Any]:
    record = {"id": "3", "conversations": turns(CHOICE, "B"), "data_source": "scannetpp",
              "scene_name": "s", "question_type": "near"}  # fmt: skip
    return record | changes


def vsibench(**changes: Any) -> dict[str, Any]:
    record = {"id": 5, "dataset": "arkitscenes", "scene_name": "41069025", "question": "How many?",
              "question_type": "object_counting", "ground_truth": "4", "options": None}  # fmt: skip
    return record | changes


def read(path: Path, rows: list[Any], **options: Any) -> QuestionFile:
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_questions(path, "train", options.pop("layout", "auto"), **options)


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_the_three_layouts_in_three_containers(ending: str, tmp_path: Path) -> None:
    for layout, rows, expected in (
        ("vsi590k", [vsi590k(), vsi590k(conversations=turns(CHOICE, "A. the chair"))],
         [("q:1", ("a/b.mp4",), "distance", "How far?", None, "2.5"),
          ("q:2", ("a/b.mp4",), "distance", "Which is nearer?",
           ("A. the chair", "B. the table"), "A")]),
        ("vlm3r", [vlm3r()],
         [("3", ("scannetppv2/s.mp4",), "near", "Which is nearer?",
           ("A. the chair", "B. the table"), "B")]),
        ("vsibench",
         [vsibench(), vsibench(id=6, options=["A. left", "B. right"], ground_truth="B")],
         [("5", ("arkitscenes/41069025.mp4",), "object_counting", "How many?", None, "4"),
          ("6", ("arkitscenes/41069025.mp4",), "object_counting", "How many?",
           ("A. left", "B. right"), "B")]),
    ):  # fmt: skip
        for chosen in ("auto", layout):
            found = read(tmp_path / f"q.{ending}", rows, layout=chosen)
            assert found.faults == []
            got = [(q.id, q.media, q.kind, q.question, q.options, q.answer)
                   for q in found.questions]  # fmt: skip
            assert got == expected


def test_scannetppv2_keeps_its_name(tmp_path: Path) -> None:
    found = read(tmp_path / "q.json", [vlm3r(data_source="scannetppv2")])
    assert found.questions[0].media == ("scannetppv2/s.mp4",)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_empty_fields_are_missing_fields(ending: str, tmp_path: Path) -> None:
    """Tables fill what a row lacks: an image row's `video`, some rows' ids."""
    rows = [
        vsi590k(id=7, image=None),
        vsi590k(id=None, video=None, image=["x.jpg", "y.jpg"], question_type=None),
        vsi590k(id=None, image=None),
    ]
    for row in rows:
        row["image"] = row["image"] or []
    found = read(tmp_path / f"q.{ending}", rows)
    assert found.faults == []
    assert [q.id for q in found.questions] == ["7", "q:2", "q:3"]
    assert found.questions[1].media == ("x.jpg", "y.jpg")
    assert found.questions[1].kind == "unknown"


BAD = {
    "a broken line": ('{"id": 1,', "broken JSON: .* at column 11"),
    "not an object": ("[1]", "not a JSON object"),
    "no layout": ('{"id": 1}', "neither `conversations` nor `ground_truth`"),
    "turns that are texts": (vsi590k(conversations=["a", "b"]), "must be an object with a `value`"),
    "one turn": (vsi590k(conversations=turns()[:1]), "needs a question and an answer"),
    "no answer": (vsi590k(conversations=turns(told=" ")), "question or its answer is empty"),
    "no media": (vsi590k(video=None), "neither `video` nor `image` names a file"),
    "media of numbers": (vsi590k(video=[1]), "neither `video` nor `image` names a file"),
    "letter outside": (vsi590k(conversations=turns(CHOICE, "C")),
                       r"its answer 'C' is outside its options A, B"),
    "word for a number": (vsi590k(conversations=turns(told="far")), "'far' is no number"),
    "not finite": (vsi590k(conversations=turns(told="inf")), "'inf' is no number from zero up"),
    "negative": (vsi590k(conversations=turns(told="-1")), "'-1' is no number from zero up"),
    "options of one text": (vsibench(options="A. x"), "'options' must be a list of texts"),
    "options of a number": (vsibench(options=3), "'options' must be a list of texts"),
    "no scene": (vsibench(scene_name=None), "field 'scene_name' is missing"),
    "scene of a number": (vsibench(scene_name=3), "field 'scene_name' must be a text, found 3"),
    "half a character": (vsibench(question="\ud800?"), "half a character"),
    "endless number": ('{"id": ' + "9" * 5000 + "}", "not readable JSON"),
    "bottomless": ('{"a":' * 100_000, "not readable JSON|broken JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "not UTF-8 at byte 9"),
}  # fmt: skip


@pytest.mark.fault(19)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_and_the_rest_is_read(name: str, tmp_path: Path) -> None:
    bad, reason = BAD[name]
    line = bad if isinstance(bad, bytes) else bad if isinstance(bad, str) else json.dumps(bad)
    line = line.encode() if isinstance(line, str) else line
    good = json.dumps(vsi590k()).encode()
    path = tmp_path / "q.jsonl"
    for lines, place in (((good, line, b"", good), 2), ((line, good, good), 1)):
        path.write_bytes(b"\r\n".join(lines))
        found = read_questions(path, "train", "auto")
        assert len(found.questions) == 2
        assert [fault[0] for fault in found.faults] == [f"q.jsonl:{place}"]
        found_reason, remedy = found.faults[0][1:]
        assert re.search(reason, found_reason), found_reason
        assert "take it out" in remedy


def test_separators_within_a_text_do_not_break_the_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    row = vsibench(question="How\u2028many\u0085chairs?")
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n" + "{\n", encoding="utf-8")
    found = read_questions(path, "test", "auto")
    assert [q.question for q in found.questions] == ["How\u2028many\u0085chairs?"]
    assert [fault[0] for fault in found.faults] == ["q.jsonl:2"]


@pytest.mark.fault(19)
def test_files_that_are_bad_as_a_whole_are_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('[\n{"id": 1},\n{"id": \n]')
    with pytest.raises(UserError, match=r"q\.json:4: broken JSON: Expecting value"):
        read_questions(tmp_path / "q.json", "train", "auto")
    (tmp_path / "q.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"q\.parquet: not a readable parquet file"):
        read_questions(tmp_path / "q.parquet", "train", "auto")
    with pytest.raises(UserError, match=r"none\.jsonl: no such question file"):
        read_questions(tmp_path / "none.jsonl", "train", "auto")


@pytest.mark.parametrize("told", ["B", "b", "B.", "B. the table", "B) the table"])
def test_answers_by_letter_come_as_the_letter(told: str, tmp_path: Path) -> None:
    found = read(tmp_path / "q.jsonl", [vsi590k(conversations=turns(CHOICE, told))])
    assert [q.answer for q in found.questions] == ["B"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = ("id", "conversations", "video", "image", "question_type", "data_source", "scene_name",
          "dataset", "question", "ground_truth", "options")  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> Any:
    """Whole records of which some fields are replaced by anything or taken out."""
    record = draw(st.sampled_from([vsi590k, vlm3r, vsibench]))()
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        if draw(st.booleans()):
            record.pop(name, None)
        else:
            record[name] = draw(JSON)
    return draw(st.one_of(st.just(record), st.just(record), JSON))


@pytest.mark.fault(19)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(
        records().map(lambda value: json.dumps(value).encode())
        | st.binary(max_size=20).filter(lambda data: b"\n" not in data),
        max_size=5,
    ),
    layout=st.sampled_from(["auto", "vsi590k", "vlm3r", "vsibench"]),
)
def test_every_line_is_a_question_or_a_fault(
    lines: list[bytes], layout: Any, tmp_path: Path
) -> None:
    path = tmp_path / "q.jsonl"
    # a first line that can't open a list, so that it is read as lines
    path.write_bytes(b"\n".join([b"{}", *lines]))
    found = read_questions(path, "train", layout)
    filled = [n for n, line in enumerate([b"{}", *lines], start=1) if line.strip()]
    places = [q.source for q in found.questions] + [fault[0] for fault in found.faults]
    assert sorted(places) == sorted(f"q.jsonl:{n}" for n in filled)
    for question in found.questions:
        usable(question)


def usable(question: Question) -> None:
    assert question.id.strip() and question.question.strip() and question.media
    assert all(isinstance(name, str) and name for name in question.media)
    if question.options is None:
        assert 0 <= float(question.answer) < float("inf")
    else:
        assert question.answer in [option.lstrip()[:1].upper() for option in question.options]
    pd.DataFrame([vars(question)]).astype({"media": str}).to_json()
    "".join((question.id, question.kind, question.question, *question.media)).encode()
