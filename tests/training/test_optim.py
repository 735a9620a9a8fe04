"""The learning-rate schedule."""

import itertools
import math

import pytest

from geovr.training.config import OptimConfig
from geovr.training.optim import rate_share


def test_warm_up_then_cosine_to_the_final_share() -> None:
    config = OptimConfig(warmup_share=0.1, final_share=0.02)
    shares = [rate_share(step, 200, config) for step in range(200)]
    assert shares[0] == pytest.approx(1 / 20)
    assert shares[19] == shares[20] == pytest.approx(1.0)
    middle = 20 + 90
    assert shares[middle] == pytest.approx(0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert all(a >= b for a, b in itertools.pairwise(shares[20:]))
    assert rate_share(200, 200, config) == pytest.approx(0.02)
