"""Killed at every single write of a save: the old checkpoint or the new one is there, whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.storage import Store
from geovr.training.checkpoint import Checkpoints
from tests.training.conftest import Prepared, Result
from tests.training.test_checkpoint import made, steps, weights

LAST = 5
WRITES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}


class KillPoint:
    """Dies as by SIGKILL just before the n-th change to a directory; Python tells of each."""

    def __init__(self) -> None:
        self.place, self.count, self.at = "", 0, -1
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.place or event not in WRITES or self.place not in str(arguments[0]):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            return
        if self.count == self.at:
            os._exit(9)  # nothing is unwound or flushed
        self.count += 1

    def run(self, place: Path, at: int, work: Callable[[], None]) -> tuple[bool, int]:
        """Work in a child; gives whether it lived, and the changes it made (up to 255)."""
        child = os.fork()
        if child == 0:
            self.place, self.count, self.at = str(place), 0, at
            try:
                work()
            except BaseException:
                os._exit(250)
            os._exit(0 if at >= 0 else self.count)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status != 250, "the work failed of itself"
        return status != 9 or at < 0, status


@pytest.fixture(scope="module")
def kill_point() -> KillPoint:
    return KillPoint()


def train(store: Store, asynchronous: bool, until: int) -> tuple[int, bytes]:
    """Go on from the newest checkpoint, saving after every step; the step gone on from."""
    checkpoints = Checkpoints(store, "training/key", keep=1, asynchronous=asynchronous)
    model, optimizer = made()
    state = checkpoints.load_latest(model, optimizer)  # type: ignore[arg-type]
    start = 0 if state is None else int(state["step"])
    for step in range(start, until):
        torch.manual_seed(step)
        steps(model, optimizer, 1)
        checkpoints.save(step + 1, model, optimizer, {}, 1.0 / (step + 1))  # type: ignore[arg-type]
    checkpoints.wait()
    return start, weights(model)


@pytest.mark.fault(22, 31)
@pytest.mark.parametrize("asynchronous", [True, False], ids=["beside training", "in line"])
def test_at_every_write_the_old_or_the_new_one_stands(
    tmp_path: Path, kill_point: KillPoint, asynchronous: bool
) -> None:
    expected = train(Store.open(str(tmp_path / "whole")), asynchronous, LAST)[1]
    begun = tmp_path / "begun"
    train(Store.open(str(begun)), asynchronous, 2)

    def go_on(place: Path) -> Callable[[], None]:
        return lambda: train(Store.open(str(place)), asynchronous, 4) and None

    counting = tmp_path / "counting"
    shutil.copytree(begun, counting)
    total = kill_point.run(counting, -1, go_on(counting))[1]
    assert total > 20  # two saves of four files, and two removals
    resumed_at = set()
    for at in range(total):
        place = tmp_path / f"killed-{at}"
        shutil.copytree(begun, place)
        alive, _ = kill_point.run(place, at, go_on(place))
        assert not alive
        start, found = train(Store.open(str(place)), asynchronous, LAST)
        assert start in (2, 3, 4) and found == expected, f"killed at change {at}"
        resumed_at.add(start)
        kept = {path.relative_to(place).parts[3] for path in place.rglob("*") if path.is_file()}
        assert kept == {f"{LAST:08d}"}, f"killed at change {at}: something is left behind"
        shutil.rmtree(place)
    assert resumed_at == {2, 3, 4}


class Killed(BaseException):
    """Stands for SIGKILL in this process: nothing catches it."""


def killed_after(patch: pytest.MonkeyPatch, at: int) -> Iterator[list[str]]:
    """Die after the store's operation number `at`; the operations so far are given."""
    told: list[str] = []
    for name in ("put", "put_new", "remove"):
        original = getattr(Store, name)

        def operation(self: Store, key: str, *rest: Any, original: Any = original) -> Any:
            if 0 <= at < len(told):
                raise Killed  # the dead do nothing more, in no thread
            value = original(self, key, *rest)
            told.append(key)
            if len(told) - 1 == at:
                raise Killed
            return value

        patch.setattr(Store, name, operation)
    yield told


@pytest.mark.slow
@pytest.mark.usefixtures("tracked")
@pytest.mark.timeout(1200)
def test_a_training_killed_after_any_operation_ends_the_same(
    prepared: Prepared, tmp_path: Path
) -> None:
    changes = {"steps": 2, "keep_checkpoints": 1, "keep_best": False}
    with pytest.MonkeyPatch.context() as patch:
        operations = next(killed_after(patch, -1))
        whole: Result = prepared.train(tmp_path / "whole", **changes)
    assert sum(key.endswith("manifest.json") for key in operations) >= 3  # two saves, a removal
    for at, key in enumerate(operations):
        root = tmp_path / str(at)
        with pytest.raises(Killed), pytest.MonkeyPatch.context() as patch:
            next(killed_after(patch, at))
            prepared.train(root, **changes)
        assert prepared.train(root, **changes).same(whole), f"killed after {key}"
        shutil.rmtree(root)
