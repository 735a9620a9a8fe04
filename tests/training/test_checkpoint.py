"""Checkpoints: restored to the last bit; broken or half-written ones are passed over by name."""

from __future__ import annotations

import errno
import json
import logging
import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from geovr.errors import UserError
from geovr.storage import Store, StoreError
from geovr.training.checkpoint import Checkpoints

FILES = (".metadata", "__0_0.distcp", "state.json")


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


def saved(checkpoints: Checkpoints, *arguments: Any) -> None:
    """A save that has ended."""
    checkpoints.save(*arguments)
    checkpoints.wait()


@pytest.fixture
def checkpoints(store: Store) -> Checkpoints:
    """Two checkpoints, after one step and after two; a state names its step."""
    checkpoints = Checkpoints(store, "training/key", keep=2)
    model, optimizer = made()
    for step in (1, 2):
        steps(model, optimizer, 1)
        saved(checkpoints, step, model, optimizer, {"curve": [step]})
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


@pytest.mark.parametrize("asynchronous", [True, False])
def test_going_on_from_a_checkpoint_is_going_on(store: Store, asynchronous: bool) -> None:
    checkpoints = Checkpoints(store, "training/key", keep=2, asynchronous=asynchronous)
    model, optimizer = made()
    torch.manual_seed(7)
    steps(model, optimizer, 3)
    checkpoints.save(3, model, optimizer, {"curve": []})  # type: ignore[arg-type]
    # what is written is the state of this moment, though training goes on at once
    torch.manual_seed(8)
    steps(model, optimizer, 2)
    checkpoints.wait()

    other, other_optimizer = made(seed=1)
    state = checkpoints.load_latest(other, other_optimizer)  # type: ignore[arg-type]
    assert state == {"step": 3, "curve": []}
    torch.manual_seed(8)
    steps(other, other_optimizer, 2)
    assert weights(other) == weights(model)


def test_only_one_save_is_under_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(store, "training/key", keep=9)
    model, optimizer = made()
    steps(model, optimizer, 1)
    for step in range(1, 6):
        checkpoints.save(step, model, optimizer, {})  # type: ignore[arg-type]
        assert checkpoints.complete_steps()[: step - 1] == list(range(1, step))
    checkpoints.wait()
    assert checkpoints.complete_steps() == [1, 2, 3, 4, 5]


def test_the_newest_stay_and_the_others_leave_nothing_behind(store: Store) -> None:
    checkpoints = Checkpoints(store, "training/key", keep=2)
    model, optimizer = made()
    steps(model, optimizer, 1)
    for step in (1, 2, 10, 11):
        saved(checkpoints, step, model, optimizer, {"curve": []})
    assert checkpoints.complete_steps() == [10, 11]
    assert len(store.keys("training")) == 2 * (len(FILES) + 1)


def test_the_best_one_stays_until_a_better_one_stands(store: Store) -> None:
    checkpoints = Checkpoints(store, "training/key", keep=1)
    model, optimizer = made()
    steps(model, optimizer, 1)
    kept = []
    for step, score in enumerate([3.0, 2.0, 5.0, float("nan"), 2.0, 1.0], start=1):
        saved(checkpoints, step, model, optimizer, {}, score)
        kept.append((checkpoints.complete_steps(), checkpoints.best_step()))
    assert kept == [([1], 1), ([2], 2), ([2, 3], 2), ([2, 4], 2), ([5], 5), ([6], 6)]
    plain = Checkpoints(store, "training/other", keep=1, keep_best=False)
    for step, score in enumerate([1.0, 2.0], start=1):
        saved(plain, step, model, optimizer, {}, score)
    assert plain.complete_steps() == [2]


def test_no_checkpoint_is_no_state(store: Store) -> None:
    model, optimizer = made()
    before = weights(model)
    assert Checkpoints(store, "training/key", 2).load_latest(model, optimizer) is None  # type: ignore[arg-type]
    assert weights(model) == before


@pytest.mark.fault(33)
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


@pytest.mark.fault(33)
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


@pytest.mark.fault(33)
def test_without_its_manifest_a_step_does_not_exist(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    damage(store, "manifest.json", "missing")
    assert checkpoints.complete_steps() == [1]
    model, optimizer = made(seed=1)
    state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None and state["step"] == 1
    assert not [record for record in caplog.records if record.name == "geovr"]


def test_when_all_are_damaged_training_starts_anew(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    damage(store, "__0_0.distcp", "cut")
    store.remove("training/key/steps/00000001/__0_0.distcp")
    model, optimizer = made(seed=1)
    before = weights(model)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        assert checkpoints.load_latest(model, optimizer) is None  # type: ignore[arg-type]
    assert [record.args[0] for record in caplog.records if record.args] == [2, 1]
    assert weights(model) == before and not optimizer.state


@pytest.mark.fault(38)
def test_another_models_checkpoint_is_refused(checkpoints: Checkpoints) -> None:
    model = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(
        UserError, match=r"2 parameters differ, e\.g\. 2\.bias: \(1,\) there, absent"
    ):
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

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "remove", remove)
        checkpoints.remove(1)
    assert checkpoints.complete_steps() == [2]
    model, optimizer = made()
    checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert len(store.keys("training")) == len(FILES) + 1  # and what was left of it is gone


@pytest.mark.fault(23, 34)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("ending", [*FILES, "manifest.json"])
def test_a_place_that_can_not_be_written_keeps_the_old_ones(
    checkpoints: Checkpoints, store: Store, monkeypatch: pytest.MonkeyPatch, ending: str, code: int
) -> None:
    original = Store.put

    def put(self: Store, key: str, data: bytes) -> str:
        if key.endswith(ending):
            raise OSError(code, errno.errorcode[code], key)
        return original(self, key, data)

    before = store.keys("training")
    model, optimizer = made()
    steps(model, optimizer, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", put)
        checkpoints.save(3, model, optimizer, {})  # type: ignore[arg-type]
        with pytest.raises(StoreError, match="step 3 can't be written") as caught:
            checkpoints.wait()
    assert errno.errorcode[code] in str(caught.value) and "older checkpoints stand" in str(
        caught.value
    )
    assert store.keys("training") == before
    state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None and state["step"] == 2


@pytest.mark.fault(34)
def test_the_next_save_raises_what_the_one_before_met(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(self: Store, key: str, data: bytes) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "put", put)
    model, optimizer = made()
    checkpoints.save(3, model, optimizer, {})  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="No space left on device"):
        checkpoints.save(4, model, optimizer, {})  # type: ignore[arg-type]
    with pytest.raises(KeyError), checkpoints.open():
        checkpoints.save(5, model, optimizer, {})  # type: ignore[arg-type]
        raise KeyError  # the block's own failure is the one that is told


class Sentinel:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.fault(49)
def test_metadata_of_others_is_never_opened(
    checkpoints: Checkpoints, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sentinel = tmp_path / "opened"
    store.put("training/key/steps/00000002/.metadata", pickle.dumps(Sentinel(sentinel)))
    model, optimizer = made(seed=1)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None and state["step"] == 1 and not sentinel.exists()
    assert ".metadata" in caplog.text
    pickle.loads(store.get("training/key/steps/00000002/.metadata"))  # noqa: S301
    assert sentinel.exists()  # it would have been


def test_metadata_that_changes_after_it_was_verified_is_not_opened(
    checkpoints: Checkpoints, store: Store, tmp_path: Path
) -> None:
    model, optimizer = made(seed=1)
    assert checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    sentinel = tmp_path / "opened"
    store.put("training/key/steps/00000002/.metadata", pickle.dumps(Sentinel(sentinel)))
    with pytest.raises(StoreError, match=r"\.metadata: changed since it was verified"):
        checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert not sentinel.exists()


@pytest.mark.fault(33)
def test_a_broken_one_is_replaced_by_training_on(checkpoints: Checkpoints, store: Store) -> None:
    """It doesn't count among those that stay, so no good one goes for it."""
    damage(store, "__0_0.distcp", "flipped")
    model, optimizer = made(seed=1)
    checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    saved(checkpoints, 3, model, optimizer, {})
    assert checkpoints.complete_steps() == [1, 3]
    again = Checkpoints(store, "training/key", keep=2)
    state = again.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state is not None and state["step"] == 3


def test_the_manifest_says_what_it_holds(checkpoints: Checkpoints, store: Store) -> None:
    manifest = json.loads(store.get("training/key/steps/00000002/manifest.json"))
    assert manifest["step"] == 2 and set(manifest["files"]) == set(FILES)
    assert manifest["processes"] == 1 and manifest["torch"] == torch.__version__


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this account may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs more rights than this account has")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_really_is_full_keeps_the_old_ones(small_disk: Path) -> None:
    checkpoints = Checkpoints(Store.open(str(small_disk / "store")), "training/key", keep=9)
    model, optimizer = made(width=1500)  # some 90 KB with its moments
    steps(model, optimizer, 1)
    with pytest.raises(StoreError, match="No space left on device") as told:
        for step in range(1, 9):
            saved(checkpoints, step, model, optimizer, {})
    assert str(small_disk) in str(told.value)
    kept = checkpoints.complete_steps()
    assert kept and len(list(small_disk.rglob("*.*"))) == len(kept) * (len(FILES) + 1)
    again = Checkpoints(Store.open(str(small_disk / "store")), "training/key", keep=1)
    state = again.load_latest(model, optimizer)  # type: ignore[arg-type]
    assert state == {"step": kept[-1]}
