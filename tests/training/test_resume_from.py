"""What a training was started with is recorded; going on from another one is told apart."""

from __future__ import annotations

import errno
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.errors import UserError
from geovr.lineage import Part
from geovr.stages.train import TrainConfig, training_key
from geovr.storage import Store, StoreError
from geovr.training.checkpoint import Checkpoints
from geovr.training.record import Record, differences, record_start, resumed_from
from geovr.training.resume import ResumedCheckpoints
from tests.training.conftest import Prepared, Result
from tests.training.processes import run, torchrun
from tests.training.test_checkpoint import made, saved, steps, weights

KEY, OTHER = "a" * 24, "b" * 24
INPUTS = {"clips": "1", "targets": "2", "base_model": "3"}
BASE = Part(role="base model", name="tiny", license="apache-2.0", commercial_use=True)
TEACHER = Part(role="teacher", name="strict", license="cc-by-nc-4.0", commercial_use=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def config(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({"base_model": "models/tiny", "steps": 4} | changes)


def recorded(store: Store, key: str = KEY) -> Record:
    return Record.model_validate_json(store.get(f"training/{key}/config.json"))


def test_differences_are_named_by_their_dotted_keys() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "lora": None, "gone": True, "same": {"x": "y"}}
    new = {"a": {"b": 1, "c": [1]}, "lora": {"rank": 8}, "more": "z", "same": {"x": "y"}}
    assert list(differences(old, new)) == [
        "a.c: [1, 2] -> [1]",
        "gone: true -> absent",
        'lora: null -> {"rank": 8}',
        'more: absent -> "z"',
    ]


def test_a_start_is_recorded_once(store: Store) -> None:
    assert record_start(store, KEY, config(), INPUTS, [BASE]) == [BASE]
    record = recorded(store)
    assert record.config["optim"]["learning_rate"] == 2e-5 and record.inputs == INPUTS
    again = config(checkpoint_every=7, store="elsewhere", base_model="moved/tiny")
    record_start(store, KEY, again, INPUTS, [BASE])
    assert recorded(store) == record


@pytest.mark.fault(38)
@pytest.mark.parametrize(
    "changes, inputs, line",
    [
        ({"optim": {"learning_rate": 0.5}}, {}, "train.optim.learning_rate: 2e-05 -> 0.5"),
        ({"questions_per_clip": "auto"}, {}, 'train.questions_per_clip: 8 -> "auto"'),
        ({}, {"clips": "9"}, 'inputs.clips: "1" -> "9"'),
        ({}, {"base_model": "9"}, 'inputs.base_model: "3" -> "9"'),
    ],
)
def test_a_start_that_differs_is_refused_by_name_unless_told_otherwise(
    store: Store,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    inputs: dict[str, str],
    line: str,
) -> None:
    record_start(store, KEY, config(), INPUTS, [BASE])
    now = INPUTS | inputs
    with pytest.raises(UserError, match=r"train\.resume_changed: true") as own:
        record_start(store, KEY, config(**changes), now, [BASE])
    with pytest.raises(UserError, match=rf"train\.resume_from: training {KEY}") as origin:
        record_start(store, OTHER, config(resume_from=KEY, **changes), now, [BASE])
    for refusal in (own, origin):
        assert [x for x in str(refusal.value).splitlines() if " -> " in x][1:] == [f"  {line}"]
    assert recorded(store).config == config().model_dump(mode="json")
    assert not store.exists(f"training/{OTHER}/config.json")

    told = config(resume_from=KEY, resume_changed=True, **changes)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        record_start(store, OTHER, told, now, [BASE])
    assert line in caplog.text
    # the new training is held to its own record from now on, and needs the other one no more
    store.remove(f"training/{KEY}/config.json")
    record_start(store, OTHER, told.model_copy(update={"resume_changed": False}), now, [BASE])


def test_lineage_comes_along_with_the_weights(store: Store) -> None:
    record_start(store, KEY, config(), INPUTS, [BASE, TEACHER])
    second = config(resume_from=KEY, resume_changed=True, seed=1)
    assert record_start(store, OTHER, second, INPUTS, [BASE]) == [BASE, TEACHER]
    third = config(resume_from=OTHER, resume_changed=True, seed=2)
    for _ in range(2):
        assert record_start(store, "c" * 24, third, INPUTS, [BASE]) == [BASE, TEACHER]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"config": {}}'])
def test_a_damaged_record_stops_nothing_that_needs_it_not(
    store: Store, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    record_start(store, KEY, config(), INPUTS, [BASE])
    store.put(f"training/{KEY}/config.json", damage)
    with pytest.raises(UserError, match=r"config\.json is missing or unreadable"):
        record_start(store, OTHER, config(resume_from=KEY), INPUTS, [BASE])
    with caplog.at_level(logging.WARNING, logger="geovr"):
        record_start(store, KEY, config(), INPUTS, [BASE])
    assert "not readable and left aside" in caplog.text
    assert recorded(store).config == config().model_dump(mode="json")


def test_the_key_knows_the_origin_but_not_the_permission() -> None:
    keys = [
        training_key(config(**changes), INPUTS)
        for changes in ({}, {"resume_from": KEY}, {"resume_from": KEY, "resume_changed": True})
    ]
    assert keys[0] != keys[1] == keys[2]
    with pytest.raises(ValueError, match="resume_from"):
        config(resume_from=f"training/{KEY}")


class Killed(BaseException):
    """Stands for SIGKILL in this process: nothing catches it."""


def going_on(store: Store, until: int = 4) -> tuple[int, bytes]:
    """The step that a training of the other key starts from, and its weights after some more."""
    checkpoints = ResumedCheckpoints(store, f"training/{OTHER}", 2, origin=KEY, steps=9)
    model, optimizer = made(seed=1)
    state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None
    start = int(state["step"])
    for step in range(start, until):
        torch.manual_seed(step)
        steps(model, optimizer, 1)
        saved(checkpoints, step + 1, model, optimizer, {})
    return start, weights(model)


@pytest.fixture
def origin(store: Store) -> Store:
    """Holds two checkpoints of another training."""
    checkpoints = Checkpoints(store, f"training/{KEY}", keep=2)
    model, optimizer = made()
    for step in (1, 2):
        torch.manual_seed(step - 1)
        steps(model, optimizer, 1)
        saved(checkpoints, step, model, optimizer, {}, 0.5)
    return store


def test_the_copy_is_the_origins_without_its_score(origin: Store) -> None:
    assert going_on(origin, until=2)[0] == 2
    prefix = f"training/{{}}/steps/{2:08d}/"
    keys = [prefix.format(key) for key in (KEY, OTHER)]
    one, other = (json.loads(origin.get(key + "manifest.json")) for key in keys)
    told = {"key": KEY, "step": 2}
    assert other == one | {"score": None, "resumed_from": told} and one["score"] == 0.5
    assert resumed_from(origin, f"training/{OTHER}") == told
    for name in one["files"]:
        assert origin.get(keys[0] + name) == origin.get(keys[1] + name)


def test_a_broken_one_of_the_origin_is_passed_over_by_name(
    origin: Store, caplog: pytest.LogCaptureFixture
) -> None:
    expected = going_on(origin)[1]
    for key in origin.keys(f"training/{OTHER}"):
        origin.remove(key)
    origin = Store.open(origin.uri)  # what one process has verified it takes for sound
    origin.put(f"training/{KEY}/steps/00000002/.metadata", b"")
    with caplog.at_level(logging.WARNING, logger="geovr"):
        assert going_on(origin) == (1, expected)
    assert f"step 2 of training {KEY} is broken, trying the one before" in caplog.text


@pytest.mark.fault(31)
def test_killed_at_any_write_of_the_copy_it_starts_the_same(
    origin: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = shutil.copytree(origin.uri, tmp_path / "begun")
    expected, put = going_on(origin), Store.put
    writes: list[str] = []

    def killing(self: Store, key: str, data: bytes) -> str:
        if len(writes) == at:
            raise Killed
        writes.append(key)
        return put(self, key, data)

    for at in range(6):
        shutil.rmtree(origin.uri)
        shutil.copytree(begun, origin.uri)
        writes.clear()
        with pytest.raises(Killed), monkeypatch.context() as patch:
            patch.setattr(Store, "put", killing)
            going_on(Store.open(origin.uri))
        assert len(writes) == at and going_on(Store.open(origin.uri)) == expected
    assert writes[-1] == f"training/{OTHER}/steps/00000002/manifest.json"


def test_once_begun_it_needs_the_origin_no_more(origin: Store) -> None:
    expected = going_on(origin)[1]
    for key in origin.keys(f"training/{OTHER}"):
        origin.remove(key)
    going_on(origin, until=3)
    shutil.rmtree(Path(origin.uri) / "training" / KEY)
    assert going_on(Store.open(origin.uri)) == (3, expected)


def test_without_a_sound_one_of_its_own_it_starts_from_the_origin_again(origin: Store) -> None:
    expected = going_on(origin)
    place = Path(origin.uri) / "training"
    for path in place.glob(f"{OTHER}/steps/*/state.json"):
        path.write_bytes(b"")
    assert going_on(Store.open(origin.uri)) == expected
    # and never from nothing, which would be another training under the same name
    for path in place.glob("*/steps/*/state.json"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"train\.resume_from: .* has no sound checkpoint"):
        going_on(Store.open(origin.uri))


def test_a_copy_that_can_not_be_written_is_told(
    origin: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Store.put

    def full(self: Store, key: str, data: bytes) -> str:
        if key.endswith("steps/00000002/.metadata"):
            raise OSError(errno.ENOSPC, "No space left on device", key)
        return put(self, key, data)

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="can't be copied") as told:
        patch.setattr(Store, "put", full)
        going_on(origin)
    assert "No space left on device" in str(told.value) and OTHER in str(told.value)
    assert going_on(origin)[0] == 2


# ---- real trainings


def further(first: Result, **changes: Any) -> dict[str, Any]:
    """A training of six steps that goes on from a finished one of four."""
    key = first.details["key"]
    return {"steps": 6, "resume_from": key, "resume_changed": True} | changes


@pytest.fixture
def first(prepared: Prepared, tmp_path: Path, whole: Result, tracked: None) -> Result:
    """A finished training in the store of this test."""
    return prepared.train(tmp_path)


def test_a_training_goes_on_from_where_another_one_stands(
    prepared: Prepared, tmp_path: Path, first: Result
) -> None:
    with pytest.raises(UserError, match=r"\n  train\.steps: 4 -> 6\n"):
        prepared.train(tmp_path, **further(first, resume_changed=False))
    second = prepared.train(tmp_path, **further(first))
    assert second.details["key"] != first.details["key"]
    assert second.details["resumed_from"] == {"key": first.details["key"], "step": 4}
    assert second.curve[:4] == first.curve and [m["step"] for m in second.curve] == list(range(6))
    assert second.files != first.files
    with pytest.raises(UserError, match=r"stands at step 4, so train\.steps 4 leave nothing"):
        prepared.train(tmp_path, **further(first, steps=4))
    model = dict(prepared.values(tmp_path)["heads"], camera_hidden=32)
    with pytest.raises(UserError, match=r"of another model: \d+ parameters differ, e\.g\. "):
        prepared.train(tmp_path, **further(first, heads=model))
    with pytest.raises(UserError, match=rf"{OTHER}/config\.json is missing or unreadable"):
        prepared.train(tmp_path, **further(first, resume_from=OTHER))


@pytest.mark.fault(38)
@pytest.mark.slow
def test_two_processes_go_on_from_one_and_refuse_together(
    prepared: Prepared, tmp_path: Path, first: Result
) -> None:
    expected = prepared.train(tmp_path, **further(first))
    shutil.rmtree(tmp_path / "store/training" / expected.details["key"])
    shared = run(prepared, tmp_path, *torchrun(2), **further(first))
    assert shared.curve[:4] == first.curve
    assert shared.losses == pytest.approx(expected.losses, rel=2e-5)
    with pytest.raises(AssertionError, match=r"train\.seed: 42 -> 1") as refused:
        run(prepared, tmp_path, *torchrun(2), **further(first, seed=1, resume_changed=False))
    assert "Traceback" in str(refused.value)
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 1
