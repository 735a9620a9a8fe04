"""However many processes share a training, and however they share the model: one loss curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import Prepared, Result
from tests.training.processes import PYTHON, run, torchrun

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
    return run(prepared, root, *PYTHON, clips_per_batch=4), root


@pytest.mark.parametrize(
    "ranks, parallel",
    [
        pytest.param(2, {"sharding": "none"}, marks=pytest.mark.slow),
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


@pytest.mark.slow
def test_shards_in_bfloat16_learn_what_autocast_learns(prepared: Prepared, tmp_path: Path) -> None:
    """Shards are gathered in bfloat16, so the residual stream is rounded too; sums are float32."""
    common = {"clips_per_batch": 4, "precision": "bfloat16"}
    one = run(prepared, tmp_path, *PYTHON, **common)
    sharded = {"sharding": "full", "activation_checkpointing": "full"}
    two = run(prepared, tmp_path / "two", *torchrun(2), **common, parallel=sharded)
    for name in ("loss", "loss/text", "loss/camera", "loss/depth", "loss/scale", "loss/features"):
        found, wanted = ([m[name] for m in result.curve] for result in (two, one))
        np.testing.assert_allclose(found, wanted, rtol=0.05, err_msg=name)
    assert one.losses != two.losses
