"""Reading ahead: in order, by any number of processes, which never outlive or outlast the step."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from geovr.data.loader import ReaderDied, default_workers, read_ahead
from geovr.data.parcel import pack, unpack
from geovr.errors import StoreError, UserError
from tests.workspace import REPOSITORY

PROGRAM = Path(__file__).with_name("reading_program.py")


@dataclass(frozen=True)
class Reader:
    """Step -> the step, tensors of it, and who read them with how many threads."""

    fails_at: int | None = None
    error: Exception | None = None
    killed_at: int | None = None
    hangs_at: int | None = None

    def __call__(self, step: int) -> tuple[int, list[torch.Tensor], int, int]:
        if step == self.fails_at and self.error is not None:
            raise self.error
        if step == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == self.hangs_at:
            time.sleep(3600)
        generator = torch.Generator().manual_seed(step)
        tensors = [torch.rand(3, step, generator=generator), torch.tensor(step)]
        return step, tensors, os.getpid(), torch.get_num_threads()


@pytest.mark.parametrize("workers", [0, 3])
def test_steps_come_in_order_whoever_reads_them(workers: int) -> None:
    with read_ahead(Reader(), 5, 17, workers=workers) as steps:
        read = list(steps)
    assert [step for step, *_ in read] == list(range(5, 17))
    for step, tensors, reader, threads in read:
        assert all(map(torch.equal, tensors, Reader()(step)[1]))
        assert (reader == os.getpid()) == (workers == 0)
        assert workers == 0 or threads == 1
    assert not multiprocessing.active_children()


def test_no_more_is_read_than_was_asked_for() -> None:
    begun: list[int] = []
    with read_ahead(begun.append, 0, 100, workers=0, ahead=3) as steps:
        next(steps)
        deadline = time.monotonic() + 10
        while len(begun) < 4 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert begun == [0, 1, 2, 3]


def test_nothing_to_read_starts_nobody() -> None:
    with read_ahead(Reader(), 7, 7, workers=2) as steps:
        assert list(steps) == []


@pytest.mark.parametrize(
    "workers, error",
    [
        (0, UserError("a: b")),
        (0, TimeoutError("the store's own")),
        (1, StoreError("s3://b/k: damaged")),
    ],
)
def test_an_error_of_reading_arrives_in_its_turn_as_what_it_is(
    workers: int, error: Exception
) -> None:
    with read_ahead(Reader(fails_at=2, error=error), 0, 9, workers=workers) as steps:
        assert [next(steps)[0], next(steps)[0]] == [0, 1]
        with pytest.raises(type(error)) as raised:
            next(steps)
    assert str(raised.value) == str(error)
    assert not multiprocessing.active_children()


def test_a_killed_process_is_an_error_that_says_what_to_do() -> None:
    with (
        read_ahead(Reader(killed_at=3), 0, 9, workers=2) as steps,
        pytest.raises(ReaderDied, match=r"killed, or out of memory; .* lower train\.data_workers"),
    ):
        list(steps)
    assert not multiprocessing.active_children()


def test_a_process_that_is_killed_between_steps_is_noticed() -> None:
    with read_ahead(Reader(), 0, 50, workers=1) as steps, pytest.raises(ReaderDied):
        os.kill(next(steps)[2], signal.SIGKILL)
        list(steps)


def test_a_hanging_process_is_an_error_and_does_not_stay() -> None:
    with (
        read_ahead(Reader(hangs_at=0), 0, 9, workers=1, patience_s=0.5) as steps,
        pytest.raises(ReaderDied, match="reading step 0 takes more than"),
    ):
        next(steps)
    assert not multiprocessing.active_children()


def test_a_stopped_process_does_not_stay() -> None:
    with read_ahead(Reader(), 0, 50, workers=1) as steps:
        os.kill(next(steps)[2], signal.SIGSTOP)
    assert not multiprocessing.active_children()


def alive(pid: int) -> bool:
    """Whether it runs; a zombie whose new parent hasn't looked yet doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_readers_outlast_signals_to_the_group_but_not_their_parent() -> None:
    """Ctrl-C and a scheduler's SIGTERM reach all; the parent decides when to stop."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM)], cwd=REPOSITORY, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    *readers, signals = map(int, process.stdout.readline().split())
    assert len(readers) == 2 and all(map(alive, readers)) and signals == 0
    for number in (signal.SIGINT, signal.SIGTERM):
        os.killpg(process.pid, number)
    # far more steps than can have been waiting to be taken
    later = [process.stdout.readline().split() for _ in range(20)]
    assert {tuple(map(int, words[:2])) for words in later} == {tuple(readers)}
    assert later[-1][2] == "2"
    process.kill()
    assert "Traceback" not in process.communicate()[1]
    deadline = time.monotonic() + 30
    while any(map(alive, readers)):
        assert time.monotonic() < deadline, "a reading process outlived its parent"
        time.sleep(0.01)


def test_a_parcel_keeps_values_types_and_strides() -> None:
    value = [
        (torch.arange(6).reshape(2, 3).T, torch.tensor([True, False]), torch.tensor(1.5)),
        Holder(torch.zeros(0, 3), "name", None, torch.rand(5, dtype=torch.float64)),
        torch.rand(4, 6)[:, ::2],
    ]
    back = unpack(pack(value))
    assert back[0][0].stride() == value[0][0].stride()  # type: ignore[index]
    assert (back[1].name, back[1].nothing, back[1].empty.shape) == ("name", None, (0, 3))
    for one, other in zip(flat(back), flat(value), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


@dataclass(frozen=True)
class Holder:
    empty: torch.Tensor
    name: str
    nothing: None
    values: torch.Tensor


def flat(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Holder):
        return [value.empty, value.values]
    assert isinstance(value, (list, tuple))
    return [tensor for item in value for tensor in flat(item)]


def test_full_shared_memory_is_told_before_it_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    pack(torch.zeros(1 << 18))
    with pytest.raises(UserError, match=r"2 MiB to share .* don't fit .*shared_memory_gb"):
        pack(torch.zeros(1 << 19))


def test_processes_are_started_where_there_are_cores_to_spare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_workers() == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("geovr.data.loader.usable_cores", lambda: 12)
    for ranks, workers in (("1", 4), ("4", 2), ("8", 0)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert default_workers() == workers
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    monkeypatch.setattr("geovr.data.loader.usable_cores", lambda: 3)
    assert default_workers() == 2
