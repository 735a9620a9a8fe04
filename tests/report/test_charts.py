"""Numbers become places: ticks, means, axes, bars; and texts stay texts."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geovr.evaluation.report import KindScore
from geovr.evaluation.statistics import Interval
from geovr.inspection.cloud import camera_centres
from geovr.inspection.loading import Geometry
from geovr.inspection.pictures import depth_colours
from geovr.report import charts
from geovr.report.curves import Curve, centred_mean
from tests.report.html import Page


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_evenly_spaced_and_inside(low: float, span: float, most: int) -> None:
    high = low + span
    found = charts.ticks(low, high, most)
    slack = 1e-6 * span + 1e-9
    assert len(found) <= most + 1
    assert all(low - slack <= tick <= high + slack for tick in found)
    steps = np.diff(found)
    if len(steps):
        mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
        assert min(abs(mantissa - whole) for whole in (1, 2, 5, 10)) < 1e-3
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3)


def test_the_smooth_line_is_the_mean_of_the_steps_around() -> None:
    values = np.asarray([1.0, 3.0, np.nan, 5.0, 9.0, 4.0])
    wanted = [1, np.nanmean(values[:3]), np.nanmean(values[1:4]), *[
        np.nanmean(values[n - 1 : n + 2]) for n in (3, 4)], 4.0]  # fmt: skip
    np.testing.assert_allclose(centred_mean(values, 3), wanted)
    straight = np.arange(20.0)
    np.testing.assert_allclose(centred_mean(straight, 7), straight)


def test_a_curve_is_drawn_where_its_values_are() -> None:
    steps = np.arange(3.0)
    curve = Curve("depth", steps, np.asarray([4.0, 2.0, 0.0]), np.asarray([4.0, np.nan, 0.0]), 0.0)
    svg = str(charts.loss_chart(curve))
    raw = re.findall(r'class="raw" d="([^"]*)"', svg)[0]
    places = [tuple(map(float, pair.split())) for pair in re.split("[ML]", raw)[1:]]
    assert [x for x, _ in places] == [42, 196, 350]
    heights = [y for _, y in places]
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2, abs=0.1)
    assert heights[0] < heights[2] == 156
    # a gap in the line where there is no number
    assert re.findall(r'class="smooth" d="([^"]*)"', svg)[0].count("M") == 2


def test_a_bar_and_its_whisker_have_the_lengths_of_their_numbers() -> None:
    line = KindScore(
        kind="turn", items=4, score=Interval(0.5, 0.25, 0.75), best_constant=1.0,
        most_frequent=0.1, blanked=0.0, nll=1.0, over_constant=Interval(-0.5, -0.7, -0.2),
    )  # fmt: skip
    svg = str(charts.score_bar(line))
    assert '<rect class="bar" x="4.0" y="8" width="116.0"' in svg
    assert "M62.0 14H178.0" in svg and "M236.0 3V25" in svg and 'cx="4.0"' in svg


def test_paths_keep_their_shape_and_their_words() -> None:
    square = np.asarray([[0.0, 0], [0, 2], [2, 2]])
    svg = str(charts.plan([("teacher", square)], "m", '"><script>x</script>'))
    page = Page(svg)
    assert not page.faults and page.of("svg")[0]["aria-label"] == '"><script>x</script>'
    dots = [(float(a["cx"]), float(a["cy"])) for a in page.of("circle")]
    up, right = dots[0][1] - dots[1][1], dots[2][0] - dots[1][0]
    assert up == pytest.approx(right, abs=0.2) and up > 50


def test_a_camera_that_stands_still_is_no_walk() -> None:
    still = np.asarray([[0.0, 0], [0.0, 1e-4]])
    page = Page(str(charts.plan([("model", still)], "m", "label")))
    dots = [float(a["cy"]) for a in page.of("circle")]
    assert abs(dots[0] - dots[1]) < 1


def test_each_path_begins_at_its_own_first_camera() -> None:
    """A camera looking right of the first one's world sees its way ahead of itself."""
    half = math.sqrt(0.5)
    pose = np.tile([0, 0, 0, 0, half, 0, half, 1.5, 1.5], (2, 1)).astype(float)
    pose[:, :3] = [[1.0, 0, 2], [1, 0, 1]]
    frames = np.zeros((2, 2, 2, 3), np.uint8)
    geometry = Geometry("test", frames, pose, np.ones((2, 2, 2)), 2.0, None, None)
    np.testing.assert_allclose(
        camera_centres(geometry, from_first=True), [[0, 0, 0], [0, 0, 2]], atol=1e-9
    )


def test_depth_is_coloured_from_near_to_far_and_grey_where_unknown() -> None:
    depth = np.asarray([[0.0, 1.0, 2.0, 5.0, np.nan, np.inf]])
    colours = depth_colours(depth, 2.0)[0].astype(int)
    assert (colours[2] == colours[3]).all() and (colours[2] == colours[5]).all()
    assert colours[0].sum() > colours[1].sum() > colours[2].sum()
    assert (colours[4] == 128).all()


def test_a_histogram_has_a_bar_as_high_as_its_clips_are_many() -> None:
    values = np.asarray([0.1, 0.2, 0.3, 3.9, 8.0])
    svg = str(charts.histogram(values, Interval(2.5, 1.0, 4.0), 4.0, "degrees", "seen"))
    bars = re.findall(
        r'class="bar" x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', svg
    )
    assert len(bars) == 3, "eight bins of one degree, three of which hold something"
    heights = [float(height) for _, _, height in bars]
    assert heights == pytest.approx([104, 104 / 3, 104 / 3], abs=0.1)
    assert [float(x) for x, _, _ in bars] == pytest.approx(
        [34 + 312 * place / 8 + 0.5 for place in (0, 3, 7)], abs=0.1
    )
    assert all(float(y) + float(height) == pytest.approx(128, abs=0.11) for _, y, height in bars)
    middle = 34 + 312 * 2.5 / 8
    assert f'cx="{middle:.1f}"' in svg and 'class="constant" d="M190.0 ' in svg
    assert "M73.0 12H190.0" in svg and 'aria-label="seen"' in svg


def test_a_histogram_of_nothing_but_zero_stands() -> None:
    svg = str(charts.histogram(np.zeros(3), Interval(0.0, 0.0, 0.0), None, "", "perfect"))
    assert svg.count('class="bar"') == 1 and "nan" not in svg and "constant" not in svg
    assert not Page(svg).faults
