"""Checkpoints of several ranks: shards and whole tensors, other world sizes, killed ranks."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.ranks import run_ranks, train, train_and_die, train_on_a_full_disk


def told(root: Path, world: int, until: int, **options: Any) -> dict[str, Any]:
    """What a training on so many ranks saw and said; its store is below `root`."""
    report = root / "report.json"
    report.unlink(missing_ok=True)
    codes, said = run_ranks(world, partial(train, root / "store", until, report, **options))
    assert codes == [0] * world, said
    seen: dict[str, Any] = json.loads(report.read_text())
    return seen | {"said": said}


def manifest(root: Path, step: int) -> dict[str, Any]:
    path = root / f"store/training/key/steps/{step:08d}/manifest.json"
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def test_every_rank_writes_its_own_share(tmp_path: Path) -> None:
    told(tmp_path, 2, 1)
    written = manifest(tmp_path, 1)
    assert written["processes"] == 2
    assert set(written["files"]) == {".metadata", "__0_0.distcp", "__1_0.distcp", "state.json"}


@pytest.mark.fault(35)
@pytest.mark.parametrize("worlds", [(1, 2, 1), pytest.param((3, 2, 3), marks=pytest.mark.slow)])
def test_another_number_of_ranks_goes_on_from_the_same_bits(
    tmp_path: Path, worlds: tuple[int, ...]
) -> None:
    apart = tmp_path / "whole"
    apart.mkdir()
    whole = told(apart, 1, 6)
    ended = None
    for until, world in zip((2, 4, 6), worlds, strict=True):
        seen = told(tmp_path, world, until)
        assert seen["start"] == until - 2
        assert ended in (None, seen["loaded"])  # bits, whatever the shards were
        ended = seen["ended"]
        assert manifest(tmp_path, until)["processes"] == world
    np.testing.assert_allclose(seen["losses"], whole["losses"], rtol=1e-6)


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    "name, how",
    [
        (".metadata", "flipped"),
        ("__1_0.distcp", "missing"),
        pytest.param(".metadata", "missing", marks=pytest.mark.slow),
        pytest.param("__0_0.distcp", "flipped", marks=pytest.mark.slow),
        pytest.param("__1_0.distcp", "flipped", marks=pytest.mark.slow),
    ],
)
def test_damage_that_one_rank_finds_makes_all_fall_back(
    tmp_path: Path, name: str, how: str
) -> None:
    told(tmp_path, 2, 3, keep=2)
    path = tmp_path / f"store/training/key/steps/00000003/{name}"
    data = path.read_bytes()
    path.unlink()
    if how == "flipped":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    seen = told(tmp_path, 2, 3, keep=2)
    assert seen["start"] == 2
    assert "checkpoint of step 3 is broken" in seen["said"] and name in seen["said"]


def kill(root: Path, rank: int, at: int, **options: Any) -> list[int]:
    """Exit codes of two ranks that train to step 3, one of which is killed before a change."""
    place, counts, report = (root / name for name in ("store", "counts", "report.json"))
    work = partial(train_and_die, rank, at, counts, place, 3, report, **options)
    return run_ranks(2, work)[0]


def assert_resumed(
    root: Path, begun: Path, expected: Any, rank: int, at: int, **options: Any
) -> int:
    """A rank killed there costs nothing; gives the step that training went on from."""
    shutil.copytree(begun, root / "store")
    codes = kill(root, rank, at, **options)
    assert codes[rank] == -9 and codes[1 - rank] != 0, "the other rank ended well"
    seen = told(root, 1 + at % 2, 4, **options)
    where = f"rank {rank} killed before change {at}"
    assert (seen["ended"], seen["losses"]) == expected, where
    steps = {path.parent.name for path in (root / "store").rglob("*") if path.is_file()}
    assert steps == {"00000004"}, f"{where}: something is left behind"
    shutil.rmtree(root / "store")
    return int(seen["start"])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the checkpoint of step 1, by two ranks."""
    root = tmp_path_factory.mktemp("begun")
    told(root, 2, 1)
    return root / "store"


@pytest.fixture(scope="module")
def expected(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[float]]:
    """How training from there ends when nothing happens."""
    root = tmp_path_factory.mktemp("expected")
    shutil.copytree(begun, root / "store")
    seen = told(root, 2, 4)
    return seen["ended"], seen["losses"]


@pytest.mark.fault(31)
@pytest.mark.parametrize("rank, at", [(0, 1), (1, 1)])
def test_a_killed_rank_costs_at_most_a_step(
    tmp_path: Path, begun: Path, expected: Any, rank: int, at: int
) -> None:
    assert assert_resumed(tmp_path, begun, expected, rank, at) in (1, 2)


@pytest.mark.fault(31)
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("asynchronous", [True, False], ids=["beside training", "in line"])
def test_a_rank_killed_at_any_change_costs_at_most_a_step(
    tmp_path: Path, begun: Path, expected: Any, asynchronous: bool
) -> None:
    started_at = set()
    for rank in (0, 1):
        shutil.copytree(begun, tmp_path / "store")
        assert kill(tmp_path, rank, -1, asynchronous=asynchronous) == [0, 0]
        shutil.rmtree(tmp_path / "store")
        total = int((tmp_path / "counts").read_text())
        assert total >= (2 if rank else 12)  # two saves, and what goes after them
        started_at |= {
            assert_resumed(tmp_path, begun, expected, rank, at, asynchronous=asynchronous)
            for at in range(total)
        }
    assert started_at == {1, 2, 3}


@pytest.mark.fault(34)
def test_a_full_disk_under_one_rank_is_told_by_both(
    tmp_path: Path, begun: Path, expected: Any
) -> None:
    shutil.copytree(begun, tmp_path / "store")
    ending, report = "00000002/__1_0.distcp", tmp_path / "report.json"
    work = partial(train_on_a_full_disk, ending, tmp_path / "store", 3, report)
    codes, said = run_ranks(2, work)
    assert codes == [1, 1]
    lines = [line for line in said.splitlines() if "can't be written" in line]
    assert len(lines) == 2
    for line in lines:
        assert "step 2" in line and "rank 1" in line and "No space left on device" in line
        assert "older checkpoints stand" in line
    kept = {path.parent.name for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert kept == {"00000001"}
    seen = told(tmp_path, 2, 4)
    assert (seen["start"], (seen["ended"], seen["losses"])) == (1, expected)
