"""Questions that refer to objects of the box world: answers computed a second time from files.

The second computation is that of the furnished rooms' questions (rooms/checks.py), on things put
together here from scenes.json.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geovr.data.questions import read_questions
from geovr.simulation import record as records
from geovr.simulation.furniture import unit_mesh
from geovr.simulation.object_questions import CATEGORY_COUNTING, KINDS
from geovr.simulation.question import Question
from geovr.simulation.record import SceneSpec, read_record, truth_path, video_path
from geovr.simulation.rooms.questions import Asked
from geovr.simulation.rooms.questions.directions import QUADRANTS, WAYS
from geovr.simulation.rooms.questions.drafting import Choice, Desk
from geovr.simulation.rooms.world import FurnishedRoom, Seen, Thing
from geovr.simulation.scene import make_scene
from geovr.simulation.simulate import simulate
from geovr.simulation.tally import lines
from tests.simulation.conftest import TEST, TRAIN, Rendered, config, read_jsonl
from tests.simulation.rooms.checks import CHECKS
from tests.simulation.rooms.worlds import Case

TABLES = ("train_questions.jsonl", "test_questions.jsonl")
OBJECT_TABLES = ("train_object_questions.jsonl", "test_object_questions.jsonl")
EIGHT = "d9dc2f41d54bd475dd78b10a6e0f1e38d310eeead9c3690595a784ad535ec962"
"""sha256 of the rows of the eight kinds as they are without any question about objects."""


def _thing(told: dict[str, Any]) -> Thing:
    """A piece's mesh, turned in the complex plane."""
    vertices, faces = unit_mesh(told["category"])
    own = vertices * told["size"]
    plane = (own[:, 0] + 1j * own[:, 1]) * 1j ** (told["yaw_degrees"] // 90)
    plane += complex(*told["centre"][:2])
    return Thing(
        told["category"],
        np.stack([plane.real, plane.imag, own[:, 2]], axis=1),
        faces,
        np.zeros((len(faces), 3), np.float32),
        np.array(told["centre"]),
        tuple(told["size"]),
        float(np.radians(told["yaw_degrees"])),
    )


def _world(rendered: Rendered, scene: dict[str, Any]) -> Case:
    truth = rendered.truth(scene)
    x, y = scene["room"]["width"] / 2, scene["room"]["depth"] / 2
    floor = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    things = tuple(_thing(told) for told in scene["objects"])
    seen = Seen(
        truth["camera_from_world_N44"].astype(np.float64),
        truth["intrinsics_N33"][0].astype(np.float64),
        truth["depth_NHW"],
        truth["instance_NHW"],
        truth["timestamps_N"],
    )
    return Case(FurnishedRoom(floor, scene["room"]["height"], things, None), seen, Asked((), {}))


@pytest.fixture(scope="module")
def asked(rendered: Rendered) -> dict[str, list[Question]]:
    """Scene -> questions about its objects, as the files' readers see them."""
    found: dict[str, list[Question]] = {scene["scene"]: [] for scene in rendered.scenes}
    for name in OBJECT_TABLES:
        file = read_questions(rendered.root / name, "train", "auto")
        assert not file.faults
        for one in file.questions:
            question = Question(one.kind, one.question, one.options, one.answer)
            found[Path(one.media[0]).stem].append(question)
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != CATEGORY_COUNTING])
def test_answers_follow_from_the_ground_truth(
    rendered: Rendered, asked: dict[str, list[Question]], kind: str
) -> None:
    checked = 0
    for scene in rendered.scenes:
        for question in asked[scene["scene"]]:
            if question.kind == kind and checked < 15:
                CHECKS[kind](_world(rendered, scene), question)
                checked += 1
    assert checked >= (5 if "direction" in kind else 12)


def test_kinds_of_furniture_are_counted_where_every_piece_is_clear(
    rendered: Rendered, asked: dict[str, list[Question]]
) -> None:
    answers = Counter()
    for scene in rendered.scenes:
        instance = rendered.truth(scene)["instance_NHW"]
        pieces = range(1, len(scene["objects"]) + 1)
        most = [max(int((frame == piece).sum()) for frame in instance) for piece in pieces]
        told = [q.answer for q in asked[scene["scene"]] if q.kind == CATEGORY_COUNTING]
        kinds = len({told["category"] for told in scene["objects"]})
        assert told == ([str(kinds)] if min(most) >= 0.003 * instance[0].size else [])
        answers.update(told)
    assert len(answers) >= 3 and sum(answers.values()) >= 50


def test_at_most_one_of_a_kind_and_every_kind_is_asked(asked: dict[str, list[Question]]) -> None:
    for questions in asked.values():
        kinds = [question.kind for question in questions]
        assert kinds == sorted(set(kinds), key=KINDS.index)
    assert {question.kind for questions in asked.values() for question in questions} == set(KINDS)


def test_letters_of_two_options_are_balanced(asked: dict[str, list[Question]]) -> None:
    letters = Counter(
        q.answer for found in asked.values() for q in found if len(q.options or ()) == 2
    )
    assert set(letters) == {"A", "B"} and sum(letters.values()) >= 100
    assert max(letters.values()) <= 0.6 * sum(letters.values())


@pytest.mark.parametrize(
    ("kind", "answers"),
    [("object_rel_direction_medium", WAYS), ("object_rel_direction_hard", QUADRANTS)],
)
def test_where_nothing_is_behind_left_is_as_likely_as_right(
    kind: str, answers: tuple[str, ...]
) -> None:
    """Rooms with few candidates often lack the answer whose turn it is."""
    ahead = [answer for answer in answers if "back" not in answer]
    right: Counter[str] = Counter()
    for index in range(400):
        desk = Desk(np.random.default_rng([3, index]), index, {kind: 1}, draw_others=True)
        found = [Choice("?", a, tuple(b for b in answers if b != a)) for a in ahead]
        desk.ask_choices(kind, found, [answers])
        (question,) = desk.questions
        right[dict(o.split(". ") for o in question.options or ())[question.answer]] += 1
    assert set(right) == set(ahead) and max(right.values()) <= 0.56 * 400


def test_what_is_asked_and_refused_is_counted(
    rendered: Rendered, asked: dict[str, list[Question]]
) -> None:
    counted = json.loads((rendered.root / "scenes.json").read_text())["object_questions"]
    for split in ("train", "test"):
        of_split = [q.kind for s, found in asked.items() if s.startswith(split) for q in found]
        assert counted[split] == dict(sorted(Counter(of_split).items()))
    refused = rendered.summary["refused_questions"]
    assert set(refused) == set(KINDS)
    given_up = sum(refused[CATEGORY_COUNTING].values())
    asked_for = rendered.summary["questions_by_kind"][CATEGORY_COUNTING]
    assert given_up + asked_for == TRAIN + TEST
    told = "\n".join(lines(rendered.summary))
    assert f"{CATEGORY_COUNTING}: {asked_for} asked" in told and "several of its name" in told
    by_scene = Counter()
    for scene in rendered.scenes:
        for kind, reasons in scene["refused_questions"].items():
            by_scene[kind] += sum(reasons.values())
    assert by_scene == {kind: sum(reasons.values()) for kind, reasons in refused.items()}


def test_all_four_files_can_be_ingested_together(rendered: Rendered) -> None:
    every = [
        question
        for name in (*TABLES, *OBJECT_TABLES)
        for question in read_questions(
            rendered.root / name, "train" if name.startswith("train") else "test", "auto"
        ).questions
    ]
    assert len({question.id for question in every}) == len(every)
    assert len(every) == sum(rendered.summary["questions_by_kind"].values())


def test_scenes_and_the_eight_kinds_are_what_they_were(rendered: Rendered, tmp_path: Path) -> None:
    """Rendered without asking about objects, files are the same; rows have not changed at all."""
    rows = b"".join((rendered.root / name).read_bytes() for name in TABLES)
    assert hashlib.sha256(rows).hexdigest() == EIGHT
    for index in (0, 5):
        spec = SceneSpec(7, "test", index, 8, 2, 48, 64)
        record = make_scene(spec, tmp_path)
        assert "object_questions" not in record
        for path in (video_path, truth_path):
            assert path(tmp_path, spec.name).read_bytes() == (
                path(rendered.root, spec.name).read_bytes()
            )


def _state(root: Path) -> dict[str, tuple[bytes, int]]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) for p in paths}


def test_scenes_of_an_earlier_version_are_asked_about_without_rendering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config(tmp_path, train_scenes=5, test_scenes=2, processes=1)
    simulate(given)
    fresh = _state(tmp_path)
    beside = tmp_path / "object_questions"
    for path in [*beside.iterdir(), *(tmp_path / name for name in OBJECT_TABLES)]:
        path.unlink()
    beside.rmdir()

    def must_not_render(*_: object) -> None:
        raise AssertionError("a scene was made again")

    monkeypatch.setattr("geovr.simulation.simulate._make_scene", must_not_render)
    summary = simulate(given)
    assert (summary["made"], summary["kept"]) == (0, 7)
    upgraded = _state(tmp_path)
    assert {n: data for n, (data, _) in upgraded.items()} == {
        n: data for n, (data, _) in fresh.items()
    }
    for name in fresh:
        if name.startswith(("videos/", "ground_truth/")):
            assert upgraded[name] == fresh[name]

    (beside / "train-00001.json").write_text("{cut")
    (beside / "train-00002.json").write_text('{"key": "other", "questions": [], "refused": {}}')
    (beside / "train-00077.json").write_text("{}")
    simulate(given)
    mended = _state(tmp_path)
    assert {n: data for n, (data, _) in mended.items()} == {
        n: data for n, (data, _) in fresh.items()
    }
    untouched = "object_questions/train-00000.json"
    assert mended[untouched] == upgraded[untouched]

    monkeypatch.setattr(records, "OBJECT_QUESTIONS_VERSION", 2)
    simulate(given)
    assert _state(tmp_path)[untouched][1] != mended[untouched][1]


def test_asked_by_several_processes_or_by_one_it_is_the_same(
    rendered: Rendered, tmp_path: Path
) -> None:
    scenes = read_jsonl(rendered.root / OBJECT_TABLES[0])
    simulate(config(tmp_path, train_scenes=12, test_scenes=0, processes=2))
    told = read_record(truth_path(tmp_path, "train-00011"))
    assert told is not None and "refused_questions" not in told
    again = read_jsonl(tmp_path / OBJECT_TABLES[0])
    assert again and again == scenes[: len(again)]
