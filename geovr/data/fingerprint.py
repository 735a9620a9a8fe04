"""What a clip looks like, in a few bits a frame that survive re-encoding and scaling.

A frame's bits are the signs of its lowest DCT coefficients without the constant one, as in the
"pHash" of images; signs rather than comparisons with the median, because mirroring a picture then
only turns the coefficients of odd horizontal frequency, so that a mirrored copy is found from the
same bits. 64 bits would tell rendered rooms apart too poorly.

Shape suffixes: T frames, H W pixels, C colours, V U frequencies down and across,
B=128 bits, N frames that can be compared, W=2 words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

VERSION = 1
"""Kept with a ClipSet; raise it when a frame's bits change."""
BITS = 128
_SIDE = 32
_COLUMN = 16
LEAST_CONTRAST = 5.0
"""Grey levels. The median of a frame's coefficients (orthonormal, of 32 x 32 pixels) must reach it:
below, most signs are the encoder's noise, or those of one smooth shade that all bare walls have."""


def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the 64 lowest frequencies that a mirror leaves as they are, without the
    constant, and of the 64 lowest that it turns: those of odd horizontal frequency.
    """
    places = sorted((v + u, v, u) for v in range(_COLUMN) for u in range(_COLUMN) if v + u)
    half = BITS // 2
    chosen = [place for odd in (0, 1) for place in [p for p in places if p[2] % 2 == odd][:half]]
    return np.asarray([v for _, v, _ in chosen]), np.asarray([u for _, _, u in chosen])


_V, _U = _frequencies()


def _dct_rows() -> np.ndarray:
    """(16, 32): the first rows of the orthonormal DCT-II."""
    frequency, place = np.arange(_COLUMN)[:, None], np.arange(_SIDE)[None]
    rows = np.sqrt(2 / _SIDE) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE))
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, dtype=np.float32)


def coefficients(frames_THWC: np.ndarray) -> np.ndarray:
    """(T, 128) float32: the lowest DCT coefficients of each frame, grey, at 32 x 32 pixels."""
    from PIL import Image

    small_THW = np.stack(
        [
            np.asarray(
                Image.fromarray(frame)
                .convert("L")
                .resize((_SIDE, _SIDE), Image.Resampling.BILINEAR),
                dtype=np.float32,
            )
            for frame in frames_THWC
        ]
    )
    rows = _dct_rows()
    found_TVU = rows @ small_THW @ rows.T
    return np.asarray(found_TVU[:, _V, _U])


def fingerprint(frames_THWC: np.ndarray) -> list[str]:
    """For each frame 32 hex digits; an empty text where too little is to be seen.

    Args:
        frames_THWC: uint8 RGB.
    """
    found_TB = coefficients(frames_THWC)
    clear_T = np.median(np.abs(found_TB), axis=1) >= LEAST_CONTRAST
    packed = np.packbits(found_TB > 0, axis=1)
    return [bytes(row).hex() if clear else "" for row, clear in zip(packed, clear_T, strict=True)]


def words(fingerprints: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The bits as (N, 2) uint64, and the places (N,) of these frames among all of the clip's.

    In a mirror the first word stays as it is, and every bit of the second turns.
    """
    places = [place for place, text in enumerate(fingerprints) if text]
    data = bytes.fromhex("".join(fingerprints[place] for place in places))
    found = np.frombuffer(data, dtype=">u8").reshape(-1, BITS // 64).astype(np.uint64)
    return found, np.asarray(places, dtype=np.int64)
