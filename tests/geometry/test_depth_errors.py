"""Depth errors against numbers worked out by hand and against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geovr.geometry.depth_errors import (
    ALIGNMENTS,
    Alignment,
    DepthErrors,
    clip_scale,
    depth_errors,
    scale_errors,
    valid_pixels,
)

ZERO = DepthErrors(abs_rel=0.0, rmse=0.0, delta1=1.0, scale=1.0)


def depth(*values: float) -> torch.Tensor:
    return torch.tensor([[values]], dtype=torch.float64)


def test_four_pixels_by_hand() -> None:
    found = depth_errors(depth(1.5, 2, 4, 7), depth(1, 2, 5, 8))
    assert found.abs_rel == pytest.approx((0.5 + 0 + 0.2 + 0.125) / 4)
    assert found.rmse == pytest.approx(math.sqrt((0.25 + 0 + 1 + 1) / 4))
    # 1.5 and 5 / 4 = 1.25 itself are not below 1.25
    assert found.delta1 == 0.5 and found.scale == 1


def test_both_alignments_by_hand() -> None:
    said, true = depth(1, 2, 3), depth(2, 6, 6)
    assert clip_scale(said, true, "none") == 1
    assert clip_scale(said, true, "median") == 6 / 2
    assert clip_scale(said, true, "least_squares") == pytest.approx((2 + 12 + 18) / (1 + 4 + 9))
    found = depth_errors(said, true, "median")
    assert found.abs_rel == pytest.approx((1 / 2 + 0 + 3 / 6) / 3)
    assert found.rmse == pytest.approx(math.sqrt((1 + 0 + 9) / 3))
    assert found.delta1 == pytest.approx(1 / 3)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_the_truth_itself_has_no_error(alignment: Alignment) -> None:
    true = torch.rand(3, 8, 9, dtype=torch.float64) + 0.1
    found = depth_errors(true, true, alignment)
    assert found.abs_rel == pytest.approx(0, abs=1e-12) and found.delta1 == 1
    assert found.rmse == pytest.approx(0, abs=1e-12)


@given(factor=st.floats(0.05, 20), seed=st.integers(0, 99))
def test_a_wrong_scale_counts_without_alignment_and_not_with_it(factor: float, seed: int) -> None:
    true = torch.from_numpy(np.random.default_rng(seed).uniform(0.3, 9, (2, 6, 5)))
    plain = depth_errors(factor * true, true)
    assert plain.abs_rel == pytest.approx(abs(factor - 1))
    assert plain.delta1 == float(1 / 1.25 < factor < 1.25)
    for alignment in ALIGNMENTS[1:]:
        aligned = depth_errors(factor * true, true, alignment)
        assert aligned.abs_rel == pytest.approx(0, abs=1e-9)
        assert aligned.scale == pytest.approx(1 / factor)


def test_scales_are_numpys_and_least_squares_is_least() -> None:
    random = np.random.default_rng(0)
    said, true = random.uniform(0.5, 4, (2, 3, 7, 6))
    tensors = torch.from_numpy(said), torch.from_numpy(true)
    median = clip_scale(*tensors, "median")
    assert median == pytest.approx(np.median(true) / np.median(said))
    squares = clip_scale(*tensors, "least_squares")
    by_numpy = np.linalg.lstsq(said.reshape(-1, 1), true.reshape(-1), rcond=None)[0][0]
    assert squares == pytest.approx(by_numpy)
    rmses = {a: depth_errors(*tensors, a).rmse for a in ALIGNMENTS}
    assert min(rmses, key=lambda a: rmses[a]) == "least_squares"


def test_pixels_without_true_depth_never_count() -> None:
    true = depth(1, 0, -2, math.nan, math.inf, 4)
    said = depth(2, 9, 9, 9, 9, 8)
    assert valid_pixels(true).flatten().tolist() == [True, False, False, False, False, True]
    for alignment, wanted in zip(ALIGNMENTS, (1.0, 0.0, 0.0), strict=True):
        assert depth_errors(said, true, alignment).abs_rel == pytest.approx(wanted)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_no_valid_pixel_is_no_number(alignment: Alignment) -> None:
    found = depth_errors(depth(1, 2), depth(0, math.nan), alignment)
    assert all(map(math.isnan, (found.abs_rel, found.rmse, found.delta1)))


def test_a_depth_of_zero_is_wrong_and_never_within_a_ratio() -> None:
    found = depth_errors(depth(0, -1, 2), depth(1, 1, 2))
    assert found.abs_rel == pytest.approx(1) and found.delta1 == pytest.approx(1 / 3)
    for alignment in ALIGNMENTS[1:]:
        assert math.isnan(depth_errors(depth(0, 0, -1), depth(1, 1, 2), alignment).abs_rel)


def test_double_and_half_are_equally_wrong_in_logarithms() -> None:
    double, half = scale_errors(3.0, 1.5), scale_errors(0.75, 1.5)
    assert double == (pytest.approx(math.log(2)), pytest.approx(1.0))
    assert half == (pytest.approx(math.log(2)), pytest.approx(0.5))
    assert scale_errors(1.5, 1.5) == (0, 0)
    for impossible in (0.0, -1.0, math.nan):
        assert all(map(math.isnan, scale_errors(impossible, 1.0)))
        assert all(map(math.isnan, scale_errors(1.0, impossible)))
