"""Progress: honest pace, a line a minute without a terminal, a whole bar on one."""

from __future__ import annotations

import contextlib
import logging
import os
import pty
import subprocess
import sys
import time

import pytest

from geovr import progress as module
from geovr.progress import Progress, duration, progress, tracked
from tests.workspace import REPOSITORY


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_an_earlier_run_did_says_nothing_about_the_pace() -> None:
    clock = Clock()
    bar = Progress("make", 1000, "scenes", done=900, clock=clock)
    assert bar.line() == "make: 900/1000 scenes, time left unknown"
    clock.now += 10
    bar.advance(20)
    assert bar.line() == "make: 920/1000 scenes, 2.0 scenes/s, 40 s left"


def test_the_pace_is_the_present_one() -> None:
    """Found in the store at 100 a second for five minutes; now made at one in ten seconds."""
    clock = Clock()
    bar = Progress("ask", 40_000, "clips", clock=clock)
    for _ in range(300):
        clock.now += 1
        bar.advance(100)
    for _ in range(30):
        clock.now += 10
        bar.advance(1, "slow")
    assert bar.rate() == pytest.approx(0.1, rel=0.1)
    assert bar.line().startswith("ask: 30030/40000 clips, 0.1 clips/s, 27 h")
    assert bar.line().endswith("left slow")


def test_nothing_done_has_no_pace() -> None:
    clock = Clock()
    bar = Progress("wait", 3, "files", clock=clock)
    clock.now += 100
    assert bar.line() == "wait: 0/3 files, time left unknown"


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.4, "0 s"),
        (119.4, "119 s"),
        (120, "2 min 0 s"),
        (3599, "59 min 59 s"),
        (11_530, "3 h 12 min"),
    ],
)
def test_durations_are_read_by_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_item_of_many_minutes_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOG_INTERVAL_S", 0.05)
    with caplog.at_level(logging.INFO, logger="geovr"), progress("decode", 2, "files") as bar:
        bar.advance()
        deadline = time.monotonic() + 20
        while len(caplog.messages) < 2:
            assert time.monotonic() < deadline, "no line in time"
            time.sleep(0.01)
    told = len(caplog.messages)
    assert caplog.messages[0].startswith("decode: 1/2 files, ")
    time.sleep(0.2)
    assert len(caplog.messages) == told


def test_other_ranks_keep_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOG_INTERVAL_S", 0.01)
    monkeypatch.setenv("RANK", "1")
    with caplog.at_level(logging.INFO, logger="geovr"), progress("decode", 2, "files") as bar:
        time.sleep(0.1)
        bar.advance(2)
    assert bar.done == 2 and not caplog.messages


def test_items_pass_through_as_they_are() -> None:
    assert list(tracked(iter("abc"), "look", 3, "letters")) == ["a", "b", "c"]


WORK = """
import logging
from geovr.progress import StderrHandler, progress
logging.basicConfig(format="%(message)s", level=logging.INFO, handlers=[StderrHandler()])
with progress("train", 40, "steps", done=10) as bar:
    for step in range(30):
        bar.advance(1, f"loss {step}")
        if step == 15:
            logging.getLogger("geovr").info("a line of the log")
"""


def on_a_terminal(code: str) -> str:
    """What a person sees who runs this on a terminal of 120 columns."""
    reading, writing = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm", "PYTHONPATH": str(REPOSITORY)}
    environment.pop("RANK", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=writing, stderr=writing, env=environment
    )
    os.close(writing)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal's way to say that its writer is gone
        while chunk := os.read(reading, 65536):
            seen += chunk
    os.close(reading)
    assert process.wait() == 0, seen.decode()
    return seen.decode()


def test_on_a_terminal_the_bar_stays_below_the_log() -> None:
    seen = on_a_terminal(WORK)
    assert "train" in seen and "40/40" in seen and "loss 29" in seen and "steps/s" in seen
    # the bar is wiped before the line and drawn anew after it
    before, after = seen.split("a line of the log", 1)
    assert before.endswith("\x1b[2K") or before.endswith("\r\n") or before.endswith("\r")
    assert after.startswith(("\r\n", "\n")) and "train" in after


def test_in_a_file_there_are_only_lines() -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", WORK], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == "a line of the log\n" and done.stdout == ""
