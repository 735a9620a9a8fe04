"""Targets as objects of the store: what rounding changes, what stays, and every byte sealed."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.data.objects import BrokenObject, seal, unseal
from geovr.data.quantise import (
    GROUP,
    decode_log_depth,
    dequantise,
    directions,
    encode_log_depth,
    quantise,
)
from geovr.data.target_format import TargetFormat
from geovr.data.targets import GeometryTargets, decode, encode

RANDOM = np.random.default_rng(1)
TARGETS = GeometryTargets(
    pose_encoding_TK=RANDOM.normal(size=(2, 9)).astype(np.float32),
    depth_THW=RANDOM.uniform(0.5, 2, (2, 3, 4)).astype(np.float32),
    confidence_THW=RANDOM.uniform(0, 1, (2, 3, 4)).astype(np.float32),
    metric_scale=2.5,
    metric_scale_valid=False,
    features_NTHWC=RANDOM.normal(size=(4, 2, 1, 2, 64)).astype(np.float32),
)


@pytest.mark.parametrize("channels", [GROUP, 3 * GROUP, 40, 100])
def test_eight_bits_turn_features_by_less_than_a_ten_thousandth(channels: int) -> None:
    features = RANDOM.normal(size=(4, 3, 2, channels)).astype(np.float32)
    features[..., 3] *= 8  # outlier channels are what real features have
    features[0, 0] = 0
    back = dequantise(*quantise(features))
    cosine = (features * back).sum(-1) / np.maximum(
        np.linalg.norm(features, axis=-1) * np.linalg.norm(back, axis=-1), 1e-9
    )
    assert (1 - cosine[1:]).max() < 3e-4 and (1 - cosine[1:]).mean() < 1e-4
    assert (back[0, 0] == 0).all()


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 200),
    exponent=st.floats(-30, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_dense_features_turn_by_less_than_a_ten_thousandth(
    channels: int, exponent: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    features = (random.normal(size=(50, channels)) * 10**exponent).astype(np.float32)
    values, scales = quantise(features)
    assert values.shape == features.shape and scales.shape == (50, -(-channels // GROUP))
    back = dequantise(values, scales)
    assert (1 - cosines(features, back)).max() < 1e-4


def test_one_channel_that_outweighs_all_others_is_the_worst_case() -> None:
    """All others just below half a step are lost: 63 / 254^2 / 2 of the cosine."""
    features = np.full((1, 2 * GROUP), 0.4999 / 127, dtype=np.float32)
    features[:, ::GROUP] = 1
    back = dequantise(*quantise(features))
    assert 1e-4 < (1 - cosines(features, back)).max() < 5e-4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_features_stay_bad(bad: float) -> None:
    """What is no number must reach check_targets, not become one in int8."""
    features = RANDOM.normal(size=(2, GROUP)).astype(np.float32)
    features[1, 5] = bad
    back = dequantise(*quantise(features))
    assert np.isfinite(back[0]).all() and np.isnan(back[1]).any()


@pytest.mark.parametrize("magnitude", [1e-40, 1e-20, 1.0, 1e20, 3e38])
def test_directions_have_length_one_whatever_the_magnitude(magnitude: float) -> None:
    """Squares of very large or small numbers would leave float32's range."""
    exact = RANDOM.uniform(-1, 1, size=(20, 100))
    features = (exact * magnitude).astype(np.float32)
    unit = directions(features).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=-1), 1, rtol=1e-6)
    assert (1 - cosines(features.astype(np.float64) / magnitude, unit)).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(ratio=st.floats(0, 6), centre=st.floats(-20, 20), seed=st.integers(0, 2**32 - 1))
def test_log_depth_is_off_by_half_a_step_at_most(ratio: float, centre: float, seed: int) -> None:
    """65,534 codes are 65,533 steps of ln(farthest / nearest); float32 adds its own rounding."""
    random = np.random.default_rng(seed)
    exact = 10 ** (centre + ratio * random.uniform(-0.5, 0.5, (2, 5, 7)))
    depth = exact.astype(np.float32)
    codes, span = encode_log_depth(depth)
    assert codes.dtype == np.uint16 and codes.min() >= 2
    back = decode_log_depth(codes, span).astype(np.float64)
    off = np.abs(np.log(back) - np.log(depth.astype(np.float64))).max()
    half_step = np.log(depth.max() / depth.min()) / 65533 / 2
    assert off <= 1.01 * half_step + 2e-5


def test_log_depth_of_a_few_depths_and_of_one() -> None:
    depth = np.float32([[[0.25, 1.0, 64.0]]])
    np.testing.assert_allclose(decode_log_depth(*encode_log_depth(depth)), depth, rtol=4.3e-5)
    one = np.full((1, 2, 2), 3.5, dtype=np.float32)
    np.testing.assert_allclose(decode_log_depth(*encode_log_depth(one)), one, rtol=1e-6)


@pytest.mark.parametrize("format", ["f16", "log_u16"])
def test_bad_depth_stays_bad_and_harms_no_other(format: Literal["f16", "log_u16"]) -> None:
    depth = RANDOM.uniform(0.5, 2, (2, 3, 4)).astype(np.float32)
    depth[0, 0, :4] = np.nan, np.inf, 0, -1
    targets = dataclasses.replace(TARGETS, depth_THW=depth)
    back = decode(encode(targets, TargetFormat(depth=format))).depth_THW
    assert not np.isfinite(back[0, 0, :2]).any() and (back[0, 0, 2:] <= 0).all()
    np.testing.assert_allclose(back[:, 1:], depth[:, 1:], rtol=1e-3)
    nothing = dataclasses.replace(targets, depth_THW=np.full_like(depth, np.nan))
    assert np.isnan(decode(encode(nothing, TargetFormat(depth=format))).depth_THW).all()


def test_depth_beyond_float16_is_refused_by_the_gate_but_kept_by_logarithms() -> None:
    far = dataclasses.replace(TARGETS, depth_THW=TARGETS.depth_THW * 1e5)
    assert np.isinf(decode(encode(far)).depth_THW).any()
    back = decode(encode(far, TargetFormat(depth="log_u16"))).depth_THW
    np.testing.assert_allclose(back, far.depth_THW, rtol=1e-4)


@pytest.mark.parametrize("channels", [20, 32, 40, 64, 100, 192])
@pytest.mark.parametrize("group", [64, 32])
def test_objects_of_either_group_size_are_read(channels: int, group: Literal[64, 32]) -> None:
    features = RANDOM.normal(size=(4, 2, 1, 2, channels)).astype(np.float32)
    features[..., 0] *= 50
    targets = dataclasses.replace(TARGETS, features_NTHWC=features)
    back = decode(encode(targets, TargetFormat(feature_group=group))).features_NTHWC
    np.testing.assert_array_equal(back, dequantise(*quantise(features, group), group))
    assert (1 - cosines(features, back)).max() < 3e-4


@pytest.mark.parametrize("bad", [np.nan, -0.01, 1.01])
def test_confidence_is_a_share(bad: float) -> None:
    """8 bits would wrap it to some other share."""
    confidence = TARGETS.confidence_THW.copy()
    confidence[1, 0, 0] = bad
    with pytest.raises(ValueError, match="from 0 to 1"):
        encode(dataclasses.replace(TARGETS, confidence_THW=confidence))


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    found: np.ndarray = (one * other).sum(-1) / norms
    return found


SEALED = seal(
    {
        "depth_THW": RANDOM.normal(size=(2, 3, 4)).astype(np.float16),
        "steps": np.arange(6, dtype=np.int8),
    }
)


@pytest.mark.fault(24)
@pytest.mark.parametrize("bit", [0, 3, 5, 7])
def test_every_byte_of_an_object_is_sealed(bit: int) -> None:
    """Blanks that pad the header mean nothing and may change to other blanks; nothing else may."""
    originals = unseal(SEALED)
    for place in range(len(SEALED)):
        changed = bytearray(SEALED)
        changed[place] ^= 1 << bit
        try:
            tensors = unseal(bytes(changed))
        except BrokenObject:
            continue
        assert SEALED[place : place + 1] == b" ", f"byte {place} is not sealed"
        assert set(tensors) == set(originals)
        assert all(tensors[name].tobytes() == originals[name].tobytes() for name in originals)


@pytest.mark.fault(24, 50)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_object(data: bytes) -> None:
    with pytest.raises(BrokenObject):
        unseal(data)


@pytest.mark.fault(24, 50)
@pytest.mark.parametrize("kept", [0, 7, 8, 60, len(SEALED) - 1])
def test_a_cut_object_is_broken_and_so_is_one_with_more_behind(kept: int) -> None:
    with pytest.raises(BrokenObject):
        unseal(SEALED[:kept])
    with pytest.raises(BrokenObject):
        unseal(SEALED + b"x")


@pytest.mark.parametrize("depth, rtol", [("f16", 4.9e-4), ("log_u16", 1.2e-5)])
def test_objects_make_the_round_trip_and_notice_any_changed_byte(
    depth: Literal["f16", "log_u16"], rtol: float
) -> None:
    targets, format = TARGETS, TargetFormat(depth=depth)
    data = encode(targets, format)
    assert encode(targets, format) == data
    back = decode(data)
    np.testing.assert_array_equal(back.pose_encoding_TK, targets.pose_encoding_TK)
    np.testing.assert_allclose(back.depth_THW, targets.depth_THW, rtol=rtol)
    np.testing.assert_allclose(back.confidence_THW, targets.confidence_THW, atol=0.501 / 255)
    assert (back.metric_scale, back.metric_scale_valid) == (2.5, False)
    originals = unseal(data)
    noticed = 0
    for place in RANDOM.integers(0, len(data), 200):
        changed = bytearray(data)
        changed[place] ^= 0x20
        try:
            tensors = unseal(bytes(changed))
        except BrokenObject:
            noticed += 1
            continue
        # blanks of the header may change without a meaning
        assert set(tensors) == set(originals)
        assert all(np.array_equal(tensors[name], originals[name]) for name in originals)
    assert noticed > 180
