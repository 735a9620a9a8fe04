"""The goals of the storage format hold on a short clip, and the bench would notice a miss."""

from __future__ import annotations

import pytest

from geovr.data.target_format import TargetFormat
from geovr.data.targets import encode
from tests.bench import clips
from tests.bench.targets import Row, feature_rows, measure, missed, naive_bytes

FRAMES, WIDTH, HEIGHT = 2, 504, 392


def test_the_format_in_use_meets_its_goals() -> None:
    exact = clips.rendered(FRAMES, WIDTH, HEIGHT)
    targets = clips.as_a_teacher_says(exact)
    formats = {
        "default": TargetFormat(),
        "dearest": TargetFormat(depth="log_u16", feature_group=32),
    }
    sizes = {name: len(encode(targets, format)) for name, format in formats.items()}
    assert sizes["dearest"] * 32 / FRAMES < 55e6
    rows = measure(targets, exact.features_NTHWC)
    assert sum(row.used for row in rows) == 9
    assert missed(rows, sizes, FRAMES) == []


def test_a_missed_goal_is_told() -> None:
    """Coarser formats are measured as what they are, so the goals are no foregone conclusion."""
    rows = feature_rows("encoder-like", clips.encoder_features(1, 14, 18))
    change = {row.choice: row.changes[2] for row in rows}
    assert change["int8, a scale per token"] > 1e-4 and change["int4, groups of 64"] > 1e-3
    worse = [Row(row.what, row.choice, row.size, row.changes, used=True) for row in rows]
    told = missed(worse, {"depth f16": 56_000_000}, 32)
    assert told[0] == "a clip with depth f16 has 56.0 MB"
    assert any("int4, groups of 64 changes the loss by" in line for line in told)
    assert not any("int8, groups of 64" in line for line in told)


@pytest.mark.parametrize("strength", [100, 300, 1000])
def test_groups_of_32_hold_the_goal_for_outliers_of_any_strength(strength: float) -> None:
    rows = feature_rows("stress", clips.encoder_features(1, 14, 18, outlier=strength))
    floor = {row.choice: row.changes[0] for row in rows}
    assert floor["int8, groups of 32"] < 1e-4 and floor["int8, groups of 64"] < 1.5e-4


def test_the_naive_size_is_that_of_all_layers_in_float16() -> None:
    """24 layers, 32 frames of 28 x 36 + 5 tokens, 2,048 channels, 2 bytes."""
    assert naive_bytes(32, 504, 392) == 24 * 32 * 1013 * 2048 * 2
    assert naive_bytes(32, 504, 392) / 1e6 == pytest.approx(3187, abs=1)
