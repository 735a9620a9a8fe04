"""A training on two processes that is killed goes on to the same bytes, on two and on one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import Prepared, Result
from tests.training.processes import PYTHON, run, start, torchrun
from tests.training.test_parallel import TOLERANCE
from tests.training.test_resume import kill_after

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tracked"), pytest.mark.timeout(900)]


@pytest.mark.fault(31)
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_killed_on_two_processes_it_ends_with_the_same_bytes(
    prepared: Prepared, tmp_path: Path, sharding: str
) -> None:
    changes = {"parallel": {"sharding": sharding}}
    roots = [tmp_path / name for name in ("whole", "killed")]
    for root in roots:
        shutil.copytree(tmp_path / ".geovr", root / ".geovr")
    whole = run(prepared, roots[0], *torchrun(2), **changes)
    for step in (1, 2):  # the checkpoint of the step after it may be under way
        kill_after(start(prepared, roots[1], *torchrun(2), **changes), roots[1], step)
    assert not (roots[1] / "checkpoint").exists()
    assert run(prepared, roots[1], *torchrun(2), **changes).same(whole)


@pytest.mark.fault(35)
def test_one_then_two_then_one_process(prepared: Prepared, tmp_path: Path, whole: Result) -> None:
    kill_after(start(prepared, tmp_path, *PYTHON), tmp_path, 1)
    kill_after(start(prepared, tmp_path, *torchrun(2)), tmp_path, 2)
    resumed = run(prepared, tmp_path, *PYTHON)
    assert [m["step"] for m in resumed.curve] == [m["step"] for m in whole.curve]
    assert [m["samples/questions"] for m in resumed.curve] == [
        m["samples/questions"] for m in whole.curve
    ]
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=TOLERANCE)
    assert resumed.details["key"] == whole.details["key"]
