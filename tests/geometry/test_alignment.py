"""The metric scale against numpy's least squares, medians and quantiles; when it is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geovr.geometry.alignment import (
    MetricScale,
    alignment_mask,
    exact_quantile,
    fill_sky,
    focal_lengths,
    metric_depth,
    metric_scale,
)

T, H, W = 3, 20, 30


def scene(scale: float = 2.5, noise: float = 0.0, seed: int = 0) -> list[torch.Tensor]:
    """Relative depth, confidence, metric depth and sky of a clip without sky."""
    random = np.random.default_rng(seed)
    relative = random.uniform(0.3, 3, (T, H, W))
    confidence = 1 + random.exponential(1, (T, H, W))
    metric = scale * relative * (1 + noise * random.normal(size=(T, H, W)))
    return [
        torch.from_numpy(a).float() for a in (relative, confidence, metric, np.zeros((T, H, W)))
    ]


@given(
    values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=200),
    share=st.floats(0, 1),
)
def test_quantiles_are_numpys(values: list[float], share: float) -> None:
    ours = float(exact_quantile(torch.tensor(values, dtype=torch.float64), share))
    assert ours == pytest.approx(float(np.quantile(np.array(values), share)), rel=1e-6, abs=1e-6)


def test_focal_lengths_are_those_of_the_pinhole() -> None:
    fov = torch.tensor([[math.radians(60), math.radians(90)], [math.radians(40), math.radians(50)]])
    expected = [
        (100 / math.tan(math.radians(30)) + 150 / math.tan(math.radians(45))) / 2,
        (100 / math.tan(math.radians(20)) + 150 / math.tan(math.radians(25))) / 2,
    ]
    np.testing.assert_allclose(focal_lengths(fov, (200, 300)), expected, rtol=1e-6)
    canonical = torch.full((2, 4, 5), 2.0)
    metres = metric_depth(canonical, focal_lengths(fov, (200, 300)))
    np.testing.assert_allclose(metres[:, 0, 0], 2 * np.array(expected) / 300, rtol=1e-6)


@pytest.mark.parametrize("estimator", ["least_squares", "median"])
def test_the_scale_is_found_and_does_not_depend_on_the_day(estimator: str) -> None:
    found = metric_scale(*scene(2.5), estimator)
    assert found.valid and found.scale == pytest.approx(2.5, rel=1e-6)
    assert found.pixels == T * H * W / 2, "half the pixels have at least median confidence"
    assert len({metric_scale(*scene(noise=0.1), estimator).scale for _ in range(3)}) == 1


def test_both_estimators_equal_numpys_on_the_same_pixels() -> None:
    relative, confidence, metric, sky = scene(1.7, noise=0.3)
    sky[0, :5] = 0.3
    ground = sky.numpy() < 0.3
    chosen = ground & (confidence.numpy() >= np.median(confidence.numpy()[ground]))
    D, Z = relative.numpy()[chosen], metric.numpy()[chosen]
    by_squares = np.linalg.lstsq(D[:, None].astype(float), Z.astype(float), rcond=None)[0][0]
    found = metric_scale(relative, confidence, metric, sky)
    assert (found.scale, found.pixels) == (pytest.approx(by_squares, rel=1e-6), chosen.sum())
    robust = metric_scale(relative, confidence, metric, sky, "median").scale
    assert robust == pytest.approx(float(np.median(Z / D)), rel=1e-6)


def test_a_few_far_pixels_move_least_squares_and_not_the_median() -> None:
    """What a window does: a tenth of the pixels, far in one depth and near in the other."""
    relative, confidence, metric, sky = scene(2.0, noise=0.02)
    relative[:, :, :3], metric[:, :, :3] = 8.0, 3.0
    squares, median = (
        metric_scale(relative, confidence, metric, sky, e).scale
        for e in ("least_squares", "median")
    )
    assert abs(median / 2 - 1) < 0.02
    assert abs(squares / 2 - 1) > 0.3


def test_sky_near_pixels_and_what_is_not_finite_never_count() -> None:
    relative, confidence, metric, sky = scene(3.0)
    sky[0], metric[0] = 1.0, 1e4
    metric[1, 0] = 0.005
    relative[1, 1] = 5e-4
    metric[1, 2], relative[1, 3], confidence[1, 4] = math.nan, math.inf, math.nan
    mask = alignment_mask(relative, confidence, metric, sky)
    assert not mask[0].any() and not mask[1, :5].any()
    assert metric_scale(relative, confidence, metric, sky).scale == pytest.approx(3.0, rel=1e-6)


def only(value: float) -> torch.Tensor:
    return torch.full((T, H, W), value)


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    "change",
    [
        {3: only(1.0)},
        {3: only(math.nan)},
        {2: only(math.nan)},
        {2: only(0.001)},
        {0: only(0.0)},
        {0: only(math.inf)},
        {3: torch.cat([only(1.0)[:2], (torch.arange(H * W) >= 12).view(1, H, W).float()])},
    ],
    ids=["all sky", "no sky map", "no metres", "at the lens", "no depth", "endless", "12 pixels"],
)
@pytest.mark.parametrize("estimator", ["least_squares", "median"])
def test_a_clip_without_usable_pixels_has_no_scale(
    change: dict[int, torch.Tensor], estimator: str
) -> None:
    parts = scene(2.0)
    for place, value in change.items():
        parts[place] = value
    assert metric_scale(*parts, estimator) == MetricScale(1.0, False, 0)


@pytest.mark.parametrize("fov", [0.0, -0.1, 0.01, math.pi, 4.0, math.nan])
def test_a_camera_that_can_not_be_leaves_its_frame_out(fov: float) -> None:
    relative, confidence, _, sky = scene()
    fovs = torch.full((T, 2), 1.0)
    fovs[1, 1] = fov
    metres = metric_depth(2 * relative, focal_lengths(fovs, (H, W)))
    expected = 2 * (H / 2 + W / 2) / 2 / math.tan(0.5) / 300
    assert metric_scale(relative, confidence, metres, sky).scale == pytest.approx(
        expected, rel=1e-5
    )
    assert not alignment_mask(relative, confidence, metres, sky)[1].any()


def test_sky_becomes_the_99th_percentile_of_the_rest() -> None:
    depth = scene()[0]
    sky = torch.zeros(T, H, W)
    sky[:, :6] = 0.7
    filled = fill_sky(depth, sky)
    rest = depth.numpy()[:, 6:]
    np.testing.assert_allclose(filled[:, :6], np.quantile(rest, 0.99), rtol=1e-6)
    assert torch.equal(filled[:, 6:], depth[:, 6:])
    for share in (0.0, 1.0):
        assert torch.equal(fill_sky(depth, torch.full_like(sky, share)), depth)
