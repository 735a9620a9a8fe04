"""One process at a time: real processes, killed at their worst moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from geovr.errors import Interrupted, RunFailed, UserError
from geovr.study import locks
from geovr.study.job import StageFailed
from geovr.study.run import _tell

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from geovr.study.locks import locked_study

with locked_study(Path(sys.argv[1])) as lock:
    # as a run does: it outlives its study, to save
    work = "import sys, time; time.sleep(float(sys.argv[1])); open(sys.argv[2], 'w').close()"
    command = [sys.executable, "-c", work, sys.argv[2], sys.argv[1] + "/saved"]
    child = subprocess.Popen(command, pass_fds=(lock,), stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    time.sleep(60)
"""


def start(root: Path, child_s: float) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", HOLDER, str(root), str(child_s)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, int(holder.stdout.readline())


def test_a_study_that_someone_works_on_is_refused_with_its_number(tmp_path: Path) -> None:
    holder, child = start(tmp_path, 60)
    try:
        with (
            pytest.raises(UserError, match=f"process {holder.pid} is at work.*--output"),
            locks.locked_study(tmp_path),
        ):
            pass
    finally:
        holder.kill()
        os.kill(child, signal.SIGKILL)
        holder.communicate()


def test_after_a_kill_the_next_waits_for_the_runs_to_save(tmp_path: Path) -> None:
    holder, _ = start(tmp_path, 2)
    holder.kill()
    holder.communicate()
    with locks.locked_study(tmp_path):
        assert (tmp_path / "saved").exists()
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()}"


def test_a_run_that_doesnt_end_is_told_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_S", 0.5)
    holder, child = start(tmp_path, 60)
    holder.kill()
    holder.communicate()
    try:
        with pytest.raises(UserError, match="is at work"), locks.locked_study(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_one_training_is_one_study_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stopping, seen = threading.Event(), []

    def other() -> None:
        with locks.locked_training("one", stopping) as lock:
            seen.append(lock)

    with locks.locked_training("one", stopping) as lock:
        assert lock is not None
        with locks.locked_training("two", stopping) as apart:
            assert apart is not None
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.5)
        assert seen == []
    thread.join(10)
    assert len(seen) == 1 and seen[0] is not None
    with locks.locked_training("one", stopping):
        thread = threading.Thread(target=other)
        thread.start()
        stopping.set()
        thread.join(10)
    assert seen[1] is None


@pytest.mark.parametrize(
    ("codes", "kind"),
    [((2, 2), UserError), ((75,), Interrupted), ((2, 75), RunFailed), ((-9,), RunFailed)],
)
def test_failed_runs_give_the_exit_code_they_agree_on(
    codes: tuple[int, ...], kind: type[Exception]
) -> None:
    failed = {f"arm/{place}": StageFailed("why", code) for place, code in enumerate(codes)}
    with pytest.raises(kind, match=f"{len(codes)} of 4 runs failed: arm/0"):
        _tell(failed, 4)
