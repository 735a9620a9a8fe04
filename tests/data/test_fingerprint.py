"""Fingerprints of frames: the formula, what they survive, and frames that show too little."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from geovr.data.fingerprint import BITS, fingerprint, words


def photo(seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Smooth shapes of all sizes, as photographs have them."""
    random = np.random.default_rng(seed)
    layers = [gaussian_filter(random.normal(size=(height, width)), sigma) * sigma
              for sigma in (2, 4, 8, 16)]  # fmt: skip
    total = sum(layers)
    grey = (128 + 60 * total / np.abs(total).max()).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def bits_apart(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def of(frame: np.ndarray) -> str:
    return fingerprint(frame[None])[0]


def test_bits_are_the_signs_of_the_lowest_dct_coefficients() -> None:
    frame = photo(0)
    small = Image.fromarray(frame).convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    known = dctn(np.asarray(small, dtype=np.float64), norm="ortho")
    order = sorted(((v + u, v, u) for v in range(16) for u in range(16)), key=lambda p: p)[1:]
    wanted = [p for p in order if p[2] % 2 == 0][:64] + [p for p in order if p[2] % 2 == 1][:64]
    text = "".join("1" if known[v, u] > 0 else "0" for _, v, u in wanted)
    assert of(frame) == f"{int(text, 2):032x}"


@pytest.mark.parametrize("seed", range(4))
def test_small_changes_of_a_picture_change_few_bits(seed: int) -> None:
    frame = photo(seed)
    image = Image.fromarray(frame)
    brighter = np.clip(frame * 1.2 + 8, 0, 255).astype(np.uint8)
    assert bits_apart(of(frame), of(np.asarray(image.resize((200, 100))))) <= 10
    assert bits_apart(of(frame), of(np.asarray(image.resize((48, 32))))) <= 10
    assert bits_apart(of(frame), of(brighter)) <= 10
    assert bits_apart(of(frame), of(photo(seed + 10))) >= 40


def test_a_mirror_keeps_the_first_word_and_turns_the_second() -> None:
    frame = photo(3)
    (plain,), (turned,) = (words([of(f)])[0] for f in (frame, frame[:, ::-1]))
    assert int(np.bitwise_count(plain[0] ^ turned[0])) <= 1
    assert int(np.bitwise_count(plain[1] ^ turned[1])) >= BITS // 2 - 1


def shade(width: int) -> np.ndarray:
    row = np.linspace(60, 200, width).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (48, width, 3)).copy()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((48, 64, 3), np.uint8),
        np.full((480, 640, 3), 200, np.uint8),
        shade(64),
        np.random.default_rng(0).integers(120, 136, (48, 64, 3), np.uint8),
    ],
    ids=["black", "grey", "one shade", "noise"],
)
def test_a_frame_that_shows_nothing_has_none(frame: np.ndarray) -> None:
    assert of(frame) == ""
    found, places = words(["", of(photo(1)), ""])
    assert len(found) == 1 and places.tolist() == [1]
    assert words([""])[0].shape == (0, 2)
