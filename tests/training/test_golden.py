"""Twenty steps give the losses that they gave."""

from __future__ import annotations

import json

import numpy as np

from tests.training.golden import FILE, STEPS, curve

TOLERANCE = 1e-4
"""Relative; processors round differently, and twenty steps make more of it."""


def test_the_loss_curve_is_the_golden_one() -> None:
    golden = json.loads(FILE.read_text())
    found = curve()
    assert len(golden) == len(found) == STEPS
    for step, (one, other) in enumerate(zip(found, golden, strict=True)):
        assert one.keys() == other.keys()
        for name, value in other.items():
            message = (
                f"step {step}, {name}; if this was meant, `make golden` writes the file anew, and"
                " the commit says why"
            )
            np.testing.assert_allclose(one[name], value, rtol=TOLERANCE, err_msg=message)
    # it can tell: losses fall, and every term is in it
    assert golden[-1]["loss"] < golden[0]["loss"]
    assert {"loss/text", "loss/camera", "loss/depth", "loss/scale", "loss/features"} <= set(
        golden[0]
    )
