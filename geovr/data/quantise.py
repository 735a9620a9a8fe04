"""Features as int8 and depth as 16-bit logarithms: what is lost, and how bad values survive it.

Shape suffixes: C channels, G groups, H W pixels.
"""

from __future__ import annotations

import numpy as np

GROUP = 64
INT8 = 127
NOT_FINITE, NOT_POSITIVE, FIRST_CODE, LAST_CODE = 0, 1, 2, 65535
_TOKENS = 4096


def directions(features: np.ndarray) -> np.ndarray:
    """(..., C) features as unit vectors, float32; zeros stay zeros, NaN and infinity become NaN."""
    values: np.ndarray = np.asarray(features, dtype=np.float32)
    # by the largest magnitude first: squares of very large or small numbers leave float32's range
    with np.errstate(invalid="ignore"):
        peak = np.abs(values).max(-1, keepdims=True)
        values = values / np.where(peak == 0, np.float32(1), peak)
        length = np.sqrt(np.square(values).sum(-1, keepdims=True))
        unit: np.ndarray = values / np.where(length == 0, np.float32(1), length)
    return unit


def quantise(
    features: np.ndarray, group: int = GROUP, largest: int = INT8
) -> tuple[np.ndarray, np.ndarray]:
    """(..., C) features to int8 (..., C) and float16 scales (..., G), one per group of channels.

    Only directions are kept, since the loss is a cosine. This also puts the scales where float16
    is precise: a scale off by its smallest step turns a unit vector by less than 1e-8.

    Args:
        features: of any magnitude.
        group: channels that share a scale; the last group may have fewer.
        largest: the value that stands for a group's largest magnitude; 7 is what int4 would do.
    """
    C = features.shape[-1]
    tokens = features.reshape(-1, C)
    steps = np.empty(tokens.shape, dtype=np.int8)
    scales = np.empty((len(tokens), -(-C // group)), dtype=np.float16)
    # piece by piece, since all levels of a clip at once would need several hundred megabytes
    for start in range(0, len(tokens), _TOKENS):
        piece = slice(start, start + _TOKENS)
        unit = directions(tokens[piece])
        for number in range(scales.shape[1]):
            channels = slice(number * group, (number + 1) * group)
            scale = (np.abs(unit[:, channels]).max(-1) / largest).astype(np.float16)
            # the smallest float16 keeps a group of zeros, or of tiny values, from dividing by zero
            scale = np.maximum(scale, np.finfo(np.float16).smallest_subnormal)
            rounded = np.rint(unit[:, channels] / scale[:, None].astype(np.float32))
            with np.errstate(invalid="ignore"):  # a NaN stays one through its scale
                steps[piece, channels] = np.clip(rounded, -largest, largest)
            scales[piece, number] = scale
    return steps.reshape(features.shape), scales.reshape(*features.shape[:-1], -1)


def dequantise(values: np.ndarray, scales: np.ndarray, group: int = GROUP) -> np.ndarray:
    """Directions from what `quantise` gives: of length one but for the rounding, float32."""
    wide = values.astype(np.float32)
    for number in range(scales.shape[-1]):
        wide[..., number * group : (number + 1) * group] *= scales[..., number, None]
    return wide


def encode_log_depth(depth_THW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth to uint16 codes of its logarithm, and the range that they divide evenly.

    A depth is changed by at most half a step: a 131,066th of ln(farthest / nearest), relatively.
    What is not finite or not positive has a code of its own, for check_targets to find.

    Returns:
        codes (T, H, W), and the logarithms of the nearest and the farthest depth, float32 (2,).
    """
    finite = np.isfinite(depth_THW)
    good = finite & (depth_THW > 0)
    logs = np.log(depth_THW, where=good, out=np.zeros(depth_THW.shape, dtype=np.float32))
    span = np.zeros(2, dtype=np.float32)
    if good.any():
        span[:] = logs.min(where=good, initial=np.inf), logs.max(where=good, initial=-np.inf)
    width = span[1] - span[0]
    share = (logs - span[0]) / (width if width > 0 else 1)
    codes = FIRST_CODE + np.rint(share * (LAST_CODE - FIRST_CODE)).clip(0, LAST_CODE - FIRST_CODE)
    codes = np.where(good, codes, np.where(finite, NOT_POSITIVE, NOT_FINITE))
    return codes.astype(np.uint16), span


def decode_log_depth(codes_THW: np.ndarray, span: np.ndarray) -> np.ndarray:
    """The inverse of `encode_log_depth`, float32: NaN for not finite, 0 for not positive."""
    low, high = span.astype(np.float64)
    # looked up: an exponential per pixel would take longer than all the rest of reading
    table = np.empty(LAST_CODE + 1, dtype=np.float32)
    table[FIRST_CODE:] = np.exp(np.linspace(low, high, LAST_CODE + 1 - FIRST_CODE))
    table[NOT_FINITE], table[NOT_POSITIVE] = np.nan, 0
    depth: np.ndarray = table[codes_THW]
    return depth
