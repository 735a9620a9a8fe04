"""A rank that hangs or dies stops the job within the timeout, and is named."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from geovr.errors import Interrupted
from geovr.training.watchdog import describe
from tests.training.conftest import Prepared, Result
from tests.training.processes import PYTHON, run, start, torchrun

pytestmark = pytest.mark.usefixtures("tracked")
HANG = str(Path(__file__).with_name("hang.py"))


@pytest.mark.fault(36)
def test_the_ranks_that_are_behind_are_named() -> None:
    one = describe({0: (7, 2), 1: (7, 1), 2: (7, 2)}, 60)
    assert "step 7 has taken more than 60 s in rank 1, computing; 2 more wait for that" in one
    two = describe({0: (7, 1), 1: (7, 0), 2: (7, 0)}, 0.5)
    assert "more than 0.5 s in ranks 1, 2, reading clips; 1 more wait" in two
    assert "wait for that" not in describe({0: (3, 1)}, 9)
    assert "in ranks 0, 1, computing; stopping" in describe({0: (3, 1), 1: (3, 1)}, 9)


@pytest.mark.fault(36)
def test_a_step_that_hangs_ends_with_the_code_for_another_try(
    prepared: Prepared, tmp_path: Path
) -> None:
    process = start(
        prepared, tmp_path, *PYTHON, script=HANG, arguments=("0", "2"), step_timeout_s=4
    )
    output = process.communicate(timeout=120)[0]
    assert process.returncode == Interrupted.exit_code, output
    assert "step 2 has taken more than 4 s in rank 0, computing" in output
    assert "hang.py" in output  # where it hangs: the stacks of all threads
    # and the same training goes on
    assert len(run(prepared, tmp_path, *PYTHON, step_timeout_s=60).curve) == 4


@pytest.mark.fault(36)
@pytest.mark.slow
@pytest.mark.parametrize("way", ["hangs", "dies"])
def test_a_rank_that_is_lost_is_named_and_stops_all(
    prepared: Prepared, tmp_path: Path, way: str, whole: Result
) -> None:
    began = time.monotonic()
    process = start(
        prepared, tmp_path, *torchrun(2), script=HANG,
        arguments=("1", "2", way), step_timeout_s=8 if way == "hangs" else 600,
        env={"PET_SHUTDOWN_TIMEOUT": "5"},
    )  # fmt: skip
    try:
        output = process.communicate(timeout=180)[0]
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
            left = True
        except ProcessLookupError:
            left = False
    assert process.returncode != 0
    assert not left, "a rank outlived its job"
    if way == "hangs":
        assert "step 2 has taken more than 8 s in rank 1, computing; 1 more wait for that" in output
    else:
        assert "rank      : 1 (local_rank: 1)" in output and "Signal 9 (SIGKILL)" in output
    assert time.monotonic() - began < 170  # not gloo's own ten minutes and more
    assert len(run(prepared, tmp_path, *PYTHON).curve) == len(whole.curve)
