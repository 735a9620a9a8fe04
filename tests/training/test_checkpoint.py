"""Checkpoints: restored to the last bit; broken or half-written ones are passed over by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from geovr.storage import Store
from geovr.training.checkpoint import Checkpoints

FILES = ("model.safetensors", "optimizer.safetensors", "rng.safetensors", "state.json")


def made(seed: int = 0, width: int = 5) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, 1))
    return model, torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    """Steps that depend on the generator, as dropout does."""
    for _ in range(count):
        optimizer.zero_grad(set_to_none=True)
        model(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()


def weights(model: nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in model.parameters())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def checkpoints(store: Store) -> Checkpoints:
    """Two checkpoints, after one step and after two; a state names its step."""
    checkpoints = Checkpoints(store, "training/key", keep=2)
    model, optimizer = made()
    for step in (1, 2):
        steps(model, optimizer, 1)
        checkpoints.save(step, model, optimizer, {"curve": [step]})  # type: ignore[arg-type]
    return checkpoints


def damage(store: Store, name: str, how: str) -> None:
    """Spoil a file of the newest checkpoint."""
    path = Path(store.uri) / f"training/key/steps/00000002/{name}"
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def test_going_on_from_a_checkpoint_is_going_on(store: Store) -> None:
    checkpoints = Checkpoints(store, "training/key", keep=2)
    model, optimizer = made()
    steps(model, optimizer, 3)
    checkpoints.save(3, model, optimizer, {"curve": []})  # type: ignore[arg-type]
    steps(model, optimizer, 2)

    other, other_optimizer = made(seed=1)
    state = checkpoints.load_latest(other, other_optimizer)  # type: ignore[arg-type]
    assert state == {"step": 3, "curve": []}
    steps(other, other_optimizer, 2)
    assert weights(other) == weights(model)


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        model, optimizer = made()
        steps(model, optimizer, 2)
        store = Store.open(str(tmp_path / name))
        Checkpoints(store, "k", keep=1).save(2, model, optimizer, {"curve": []})  # type: ignore[arg-type]
    one, two = Store.open(str(tmp_path / "one")), Store.open(str(tmp_path / "two"))
    assert {key: one.get(key) for key in one.keys("k")} == {
        key: two.get(key) for key in two.keys("k")
    }


def test_the_newest_stay_and_the_others_leave_nothing_behind(store: Store) -> None:
    checkpoints = Checkpoints(store, "training/key", keep=2)
    model, optimizer = made()
    for step in (1, 2, 10, 11):
        checkpoints.save(step, model, optimizer, {"curve": []})  # type: ignore[arg-type]
    assert checkpoints.complete_steps() == [10, 11]
    assert len(store.keys("training")) == 2 * (len(FILES) + 1)


def test_no_checkpoint_is_no_state(store: Store) -> None:
    model, optimizer = made()
    before = weights(model)
    assert Checkpoints(store, "training/key", 2).load_latest(model, optimizer) is None  # type: ignore[arg-type]
    assert weights(model) == before


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_one_is_named_and_the_one_before_is_taken(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    damage(store, name, how)
    model, optimizer = made(seed=1)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state == {"step": 1, "curve": [1]}
    assert "checkpoint of step 2 is broken" in caplog.text and name in caplog.text
    expected, expected_optimizer = made()
    steps(expected, expected_optimizer, 1)
    assert weights(model) == weights(expected)


@pytest.mark.parametrize("how", ["flipped", "cut", "empty"])
def test_a_damaged_manifest_counts_as_damage(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    damage(store, "manifest.json", how)
    model, optimizer = made(seed=1)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None and state["step"] == 1
    assert "checkpoint of step 2 is broken" in caplog.text


def test_without_its_manifest_a_step_does_not_exist(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    damage(store, "manifest.json", "missing")
    assert checkpoints.complete_steps() == [1]
    model, optimizer = made(seed=1)
    state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None and state["step"] == 1
    assert not caplog.records


def test_when_all_are_damaged_training_starts_anew(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    damage(store, "model.safetensors", "cut")
    store.remove("training/key/steps/00000001/state.json")
    model, optimizer = made(seed=1)
    before = weights(model)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        assert checkpoints.load_latest(model, optimizer) is None  # type: ignore[arg-type]
    assert [record.args[0] for record in caplog.records if record.args] == [2, 1]
    assert weights(model) == before and not optimizer.state


def test_another_models_checkpoint_is_refused(checkpoints: Checkpoints) -> None:
    model = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(RuntimeError, match="differ in parameters"):
        checkpoints.load_latest(model, torch.optim.AdamW(model.parameters()))  # type: ignore[arg-type]


def test_a_removal_that_was_cut_short_leaves_no_step(
    checkpoints: Checkpoints, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    original = Store.remove

    def remove(self: Store, key: str) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(key)
        original(self, key)

    monkeypatch.setattr(Store, "remove", remove)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.remove(1)
    assert checkpoints.complete_steps() == [2]
