"""Killed at every single write of a save: the old checkpoint or the new one is there, whole."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geovr.storage import Store
from tests.training.conftest import Prepared, Result
from tests.training.ranks import run_ranks, train, train_and_die_writing

LAST = 5


@pytest.mark.fault(22, 31)
@pytest.mark.parametrize(
    "asynchronous",
    [
        pytest.param(True, id="beside training"),
        pytest.param(False, id="in line", marks=pytest.mark.slow),
    ],
)
def test_at_every_write_the_old_or_the_new_one_stands(tmp_path: Path, asynchronous: bool) -> None:
    report, counts = tmp_path / "report", tmp_path / "counts"
    options = {"asynchronous": asynchronous}

    def trained(place: Path, until: int) -> dict[str, Any]:
        codes, said = run_ranks(1, functools.partial(train, place, until, report, **options))
        assert codes == [0], said
        return dict(json.loads(report.read_text()))

    def killed(place: Path, at: int) -> list[int]:
        shutil.copytree(tmp_path / "begun", place)
        work = functools.partial(train_and_die_writing, at, counts, place, 4, report, **options)
        return run_ranks(1, work)[0]

    expected = trained(tmp_path / "whole", LAST)["ended"]
    trained(tmp_path / "begun", 2)
    assert killed(tmp_path / "counting", -1) == [0]
    total = int(counts.read_text())
    assert total > 20  # two saves of four files, and two removals
    resumed_at = set()
    for at in range(total):
        place = tmp_path / f"killed-{at}"
        assert killed(place, at) == [9]
        told = trained(place, LAST)
        assert told["ended"] == expected, f"killed at change {at}"
        resumed_at.add(told["start"])
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


@pytest.mark.fault(31)
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
