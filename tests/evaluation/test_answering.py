"""Parts of an evaluation: cut the same way by anyone, kept once, taken up after a kill."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import ClipSet
from geovr.data.input import InputConfig
from geovr.evaluation import answering
from geovr.evaluation.answer import Answerer, Model
from geovr.evaluation.answering import answer_into, cut
from geovr.evaluation.predictions import read_file
from geovr.storage import Store
from tests.answers import answer_questions
from tests.workspace import Workspace

SHOWN = InputConfig(max_tokens=None)


@pytest.fixture(scope="module")
def clips(flown: Workspace) -> ClipSet:
    return ClipSet.load(flown.root / "artifacts/clips")


@pytest.fixture(scope="module")
def model(flown: Workspace) -> Path:
    return flown.root / ".geovr/models/study"


def ask(store: Store, model: Path, clips: ClipSet, rows: int = 2) -> dict[Any, Any]:
    return answer_into(
        store, "evaluation/key", model, clips, clips.questions,
        views=("video", "blank", "shuffled"), numeric="greedy", batch_rows=rows, shown=SHOWN,
    )  # fmt: skip


def test_parts_hold_every_question_once_and_depend_on_the_table_alone(
    model: Path, clips: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = clips.questions.reset_index(drop=True)
    answerer = Answerer(Model(model), clips, table, numeric="greedy")
    for rows in (1, 3, 100):
        parts = cut(answerer, rows)
        places = [place for part in parts for row in part.places for place in row]
        assert sorted(places) == list(range(len(table)))
        assert max(len(part.clip_ids) for part in parts) <= rows
        monkeypatch.setenv("WORLD_SIZE", "7")
        assert cut(answerer, rows) == parts
        monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setattr(answering, "MOST_QUESTIONS", 3)
    parts = cut(answerer, 100)
    assert max(sum(map(len, part.places)) for part in parts) == 3
    places = [place for part in parts for row in part.places for place in row]
    assert sorted(places) == list(range(len(table)))


def test_what_is_asked_at_once_changes_no_answer(
    model: Path, clips: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(rows: int) -> list[Any]:
        return answer_questions(model, clips, clips.questions, numeric="greedy", batch_rows=rows)

    together = answers(8)
    assert [answer.id for answer in together] == list(clips.questions["id"])
    monkeypatch.setattr("geovr.evaluation.answer.MOST_BRANCHES", 1)
    alone = answers(1)
    assert [a.text for a in alone] == [a.text for a in together]
    for one, other in zip(alone, together, strict=True):
        assert one.nll == pytest.approx(other.nll, rel=1e-4)


@pytest.mark.fault(42)
def test_parts_that_stand_are_not_asked_again(
    model: Path, clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(str(tmp_path / "store"))
    whole = ask(store, model, clips)
    keys = store.keys("evaluation/key/parts")
    before = {key: store.get(key) for key in keys}
    gone = keys[1::2]
    for key in gone:
        store.remove(key)
    asked = []
    answer_part = answering.answer_part

    def counted(answerer: Answerer, part: Any) -> Any:
        asked.append(part)
        return answer_part(answerer, part)

    monkeypatch.setattr(answering, "answer_part", counted)
    assert ask(store, model, clips) == whole
    assert len(asked) == len(gone)
    assert {key: store.get(key) for key in keys} == before


def test_shuffled_and_blank_views_are_other_inputs(
    model: Path, clips: ClipSet, tmp_path: Path
) -> None:
    found = ask(Store.open(str(tmp_path / "store")), model, clips)
    nlls = {view: [answer.nll for answer in answers] for view, answers in found.items()}
    assert nlls["video"] != nlls["blank"] != nlls["shuffled"] != nlls["video"]
    table = clips.questions
    frames = {
        view: Answerer(Model(model), clips, table, numeric="greedy", view=view).maker.frames
        for view in ("video", "shuffled")
    }
    for clip_id in clips.index["clip_id"]:
        video, shuffled = frames["video"](clip_id)[0], frames["shuffled"](clip_id)[0]
        assert sorted(f.sum().item() for f in video) == sorted(f.sum().item() for f in shuffled)
        assert frames["video"](clip_id)[1].tolist() == frames["shuffled"](clip_id)[1].tolist()
        if len(video) > 1:
            assert not (video == shuffled).all()


@pytest.mark.slow
@pytest.mark.fault(41)
@pytest.mark.fault(42)
def test_one_of_two_processes_is_killed_and_a_rerun_ends_with_the_same_bytes(
    workspace: Workspace,
) -> None:
    workspace.geovr("simulate", "--output", "data/rooms", "--scenes", "8+40", "--processes", "1")
    workspace.params({"evaluate": {"batch_rows": 1, "launch": {"scheduler": "inline"}}})
    for stage in ("ingest", "extract_targets", "train"):
        workspace.inline(stage)
    two = ("torchrun", "--standalone", "--nproc-per-node", "2", "-m", "geovr", "evaluate")
    process = workspace.start(*two)
    parts = workspace.root / ".geovr/store/evaluation"
    deadline = time.monotonic() + 200
    while len(list(parts.glob("*/parts/*.json"))) < 3:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no part in time"
        time.sleep(0.005)
    os.kill(_worker_of(process.pid), signal.SIGKILL)
    told, _ = process.communicate(timeout=200)
    assert process.returncode != 0, told
    stand = {path: path.read_bytes() for path in parts.glob("*/parts/*.json")}
    # as when the kill had hit it in the middle of a write
    (next(iter(stand)).parent / ".video-1-000002.json.1.0.tmp").write_bytes(b"{")
    assert len(stand) >= 3 and not list(parts.glob("*/predictions.jsonl"))
    workspace.run(*two)
    (found,) = parts.glob("*/predictions.jsonl")
    assert not list(parts.glob("*/parts/*"))
    workspace.inline("evaluate", "--output", "artifacts/other", "--set", "store=.geovr/other")
    (whole,) = (workspace.root / ".geovr/other/evaluation").glob("*/predictions.jsonl")
    assert found.read_bytes() == whole.read_bytes()
    measured = [
        path.read_bytes()
        for store in ("store", "other")
        for path in (workspace.root / ".geovr" / store).glob("evaluation/*/geometry/*/clips.jsonl")
    ]
    assert len(measured) == 2 and measured[0] == measured[1]
    ids = [row["id"] for row in read_file(found).rows]
    assert len(set(ids)) == len(ids) == workspace.manifest("other")["counts"]["questions"]


def _worker_of(launcher: int) -> int:
    """One of torchrun's two ranks."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    ranks = [
        int(child) for child in children if b"geovr" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    assert len(ranks) == 2
    return ranks[1]
