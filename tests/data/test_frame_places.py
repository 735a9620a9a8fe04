"""Frame samplers against formulas in whole numbers, and against each other where they differ."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from geovr.data import frame_places as samplers
from geovr.data.frame_places import frame_places

PAIRS = [(total, count) for total in (1, 2, 7, 31, 32, 33, 100, 901) for count in (1, 2, 8, 32)]


def spread(total: int, count: int) -> list[Fraction]:
    """Exact places of an even spread from first to last."""
    if count == 1:
        return [Fraction(0)]
    return [Fraction(n * (total - 1), count - 1) for n in range(count)]


def close(found: np.ndarray, exact: list[Fraction], rounded: list[int]) -> bool:
    """Equal, but where the exact place is a whole number or a half, which floats may just miss."""
    return len(found) == len(exact) and all(
        place == want or (abs(place - value) <= Fraction(1) and (2 * value).denominator == 1)
        for place, value, want in zip(found.tolist(), exact, rounded, strict=True)
    )


@pytest.mark.parametrize(("total", "count"), PAIRS)
def test_even_spreads(total: int, count: int) -> None:
    exact = spread(total, min(count, total))
    assert close(samplers.linspace_floor(total, count), exact, [floor(v) for v in exact])
    exact = spread(total, count)
    nearest = [round(value) for value in exact]
    assert close(samplers.linspace_round(total, count), exact, nearest)


@pytest.mark.parametrize(("total", "count"), PAIRS)
def test_the_other_samplers_by_number(total: int, count: int) -> None:
    every = max(1, total // count)
    assert samplers.interval(total, count).tolist() == list(range(0, total, every))[:count]
    inner = [floor(Fraction(n * total, count + 1)) for n in range(1, count + 1)]
    found = samplers.inner_steps(total, count)
    assert len(found) == count and np.abs(found - inner).max() <= 1
    tail = samplers.uniform_tail(total, count)
    assert tail[-1] == total - 1 and set(samplers.linspace_floor(total, count)) <= set(tail)
    centre = samplers.chunk_center(total, count)
    assert len(centre) == count and centre.min() >= 0 and centre.max() < total
    assert (np.diff(centre) >= 0).all()


def test_known_places() -> None:
    """By hand, of 10 frames."""
    assert samplers.linspace_floor(10, 4).tolist() == [0, 3, 6, 9]
    assert samplers.linspace_floor(10, 6).tolist() == [0, 1, 3, 5, 7, 9]
    assert samplers.linspace_round(10, 6).tolist() == [0, 2, 4, 5, 7, 9]
    assert samplers.chunk_center(10, 4).tolist() == [1, 3, 6, 9]
    assert samplers.inner_steps(10, 4).tolist() == [2, 4, 6, 8]
    assert samplers.interval(10, 4).tolist() == [0, 2, 4, 6]
    assert samplers.interval(59, 30).tolist() == list(range(30)), "the second half is never seen"
    assert samplers.by_fps(10, 5.0, 2.0, tail=False).tolist() == [0, 2, 5, 7]
    assert samplers.by_fps(10, 5.0, 2.0, tail=True).tolist() == [0, 2, 5, 7, 9]


def test_where_they_differ() -> None:
    floor_, round_ = samplers.linspace_floor(901, 32), samplers.linspace_round(901, 32)
    assert (floor_ != round_).any() and np.abs(floor_ - round_).max() == 1
    assert (floor_[[0, -1]] == round_[[0, -1]]).all()
    # of a short video: each frame once, or some several times
    assert samplers.linspace_floor(3, 5).tolist() == [0, 1, 2]
    assert samplers.linspace_round(3, 5).tolist() == [0, 0, 1, 2, 2]
    assert samplers.uniform_tail(3, 5).tolist() == [0, 0, 1, 1, 2]
    assert samplers.uniform_tail(9, 1).tolist() == [0, 8], "one more than asked for"


def test_a_sampler_needs_what_it_needs() -> None:
    assert frame_places("fps_floor", 10, video_fps=5.0, fps=2.0).tolist() == [0, 2, 5, 7]
    assert frame_places("linspace_floor", 10, count=4).tolist() == [0, 3, 6, 9]
    for wrong in (
        lambda: frame_places("fps_floor", 10, count=4),
        lambda: frame_places("linspace_floor", 10),
        lambda: frame_places("none", 10, count=4),
        lambda: frame_places("interval", 0, count=4),
    ):
        with pytest.raises(ValueError, match=r"needs|no number|no frame"):
            wrong()
