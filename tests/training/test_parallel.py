"""However many processes share a training, and however they share the model: one loss curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import Prepared, Result
from tests.training.processes import run, torchrun

pytestmark = pytest.mark.usefixtures("tracked")

TOLERANCE = 2e-5
"""Relative, of every loss and norm in float32: ranks add in another order."""


def assert_same_curve(result: Result, whole: Result) -> None:
    assert [m["step"] for m in result.curve] == [m["step"] for m in whole.curve]
    for one, other in zip(result.curve, whole.curve, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value, rtol=TOLERANCE, atol=1e-7, err_msg=name)


def assert_same_weights(root: Path, other: Path) -> None:
    exported = "store/training/*/export/model.safetensors"
    (one,), (two,) = (list(r.glob(exported)) for r in (root, other))
    ours, theirs = load_file(one), load_file(two)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        # AdamW divides by tiny second moments at first, so single weights differ more than losses
        torch.testing.assert_close(ours[name], value, rtol=0, atol=5e-4, msg=name)


@pytest.fixture(scope="module")
def alone(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> tuple[Result, Path]:
    """Four clips a step on one process."""
    root = tmp_path_factory.mktemp("alone")
    (root / ".geovr").mkdir()
    (root / ".geovr/mlflow.db").write_bytes(blank_database.read_bytes())
    from tests.training.processes import PYTHON

    return run(prepared, root, *PYTHON, clips_per_batch=4), root


@pytest.mark.parametrize(
    "ranks, parallel",
    [
        pytest.param(2, {"sharding": "none"}),
        pytest.param(2, {"sharding": "full", "activation_checkpointing": "selective"}),
        pytest.param(4, {"sharding": "none"}, marks=pytest.mark.slow),
        pytest.param(4, {"sharding": "full"}, marks=pytest.mark.slow),
        pytest.param(2, {"sharding": "hybrid"}, marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "-".join(value.values()),
)
def test_the_curve_is_that_of_one_process(
    prepared: Prepared, tmp_path: Path, alone: tuple[Result, Path], ranks: int, parallel: Any
) -> None:
    result = run(prepared, tmp_path, *torchrun(ranks), clips_per_batch=4, parallel=parallel)
    assert_same_curve(result, alone[0])
    assert_same_weights(tmp_path, alone[1])
    assert result.details["key"] == alone[0].details["key"]
