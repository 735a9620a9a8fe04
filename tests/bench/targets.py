"""`python -m tests.bench.targets`: bytes of a clip's targets, and what each format changes.

Prints, for a 32-frame clip at 504x392 with four levels of 1024 channels pooled to 18x14, what each
format costs and by how much it changes each loss. Ends with 1 when a choice of TargetFormat misses
a goal.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from geovr.data import quantise as q
from geovr.data.target_format import TargetFormat
from geovr.data.targets import GeometryTargets, decode, encode
from geovr.losses.depth import depth_loss
from geovr.losses.feature import feature_loss
from geovr.storage import Store
from tests.bench import clips

GOAL_BYTES, GOAL_COSINE, GOAL_DEPTH = 55e6, 1e-4, 1e-3
GOAL_FRAMES = 32
STUDENTS = (0.0, 0.1, 0.3, 0.5)
"""Cosine losses at which the change is measured: a perfect student, and what training passes."""

Stored = tuple[np.ndarray, float]
"""What is read back, and its bytes."""


@dataclass(frozen=True)
class Row:
    """One choice of format: its bytes, and what it changes."""

    what: str
    choice: str
    size: float
    changes: tuple[float, ...]
    used: bool = False


def naive_bytes(frames: int, width: int, height: int) -> int:
    """All 24 layers of a VGGT, frame and global halves, every token, in float16."""
    tokens = (width // 14) * (height // 14) + 5
    return 24 * frames * tokens * 2048 * 2


def _grouped(features: np.ndarray, group: int, largest: int, bits: int) -> Stored:
    values, scales = q.quantise(features, group, largest)
    return q.dequantise(values, scales, group), values.size * bits / 8 + scales.nbytes


FEATURES: dict[str, Callable[[np.ndarray], Stored]] = {
    "float32": lambda f: (f, f.nbytes),
    "float16": lambda f: (q.directions(f).astype(np.float16).astype(np.float32), f.size * 2),
    "int8, a scale per token": lambda f: _grouped(f, f.shape[-1], 127, 8),
    "int8, groups of 128": lambda f: _grouped(f, 128, 127, 8),
    "int8, groups of 64": lambda f: _grouped(f, 64, 127, 8),
    "int8, groups of 32": lambda f: _grouped(f, 32, 127, 8),
    "int4, groups of 64": lambda f: _grouped(f, 64, 7, 4),
}

USED = ("int8, groups of 64", "int8, groups of 32")


def _log_depth(depth: np.ndarray) -> Stored:
    codes, span = q.encode_log_depth(depth)
    return q.decode_log_depth(codes, span), codes.nbytes + span.nbytes


DEPTH: dict[str, Callable[[np.ndarray], Stored]] = {
    "float32": lambda d: (d, d.nbytes),
    "f16": lambda d: (d.astype(np.float16).astype(np.float32), d.size * 2),
    "log_u16": _log_depth,
}
CONFIDENCE: dict[str, Callable[[np.ndarray], Stored]] = {
    "float32": lambda c: (c, c.nbytes),
    "float16": lambda c: (c.astype(np.float16).astype(np.float32), c.size * 2),
    "u8": lambda c: (np.rint(c * 255).astype(np.uint8).astype(np.float32) / 255, c.size),
}


def _students(unit: np.ndarray) -> list[np.ndarray]:
    """Features at given cosine losses from the target's directions, off in random directions."""
    random = np.random.default_rng(11)
    aside = random.normal(size=unit.shape).astype(np.float32)
    aside -= (aside * unit).sum(-1, keepdims=True) * unit
    aside = q.directions(aside)
    return [(1 - loss) * unit + np.sqrt(1 - (1 - loss) ** 2) * aside for loss in STUDENTS]


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """feature_loss of every token, in float64."""
    C = one.shape[-1]
    pair = [torch.from_numpy(f.reshape(-1, 1, C)).double() for f in (one, other)]
    losses: np.ndarray = feature_loss(*pair).numpy()
    return losses


def feature_rows(source: str, features: np.ndarray) -> list[Row]:
    """Per choice: the loss it leaves to a perfect student, in the mean and for the worst token, and
    the largest change of the mean loss over all students.
    """
    unit = q.directions(features)
    students = _students(unit)
    exact = [_cosine(student, unit).mean() for student in students]
    rows = []
    for choice, store in FEATURES.items():
        read, size = store(features)
        found = [_cosine(student, read) for student in students]
        change = max(abs(f.mean() - e) for f, e in zip(found, exact, strict=True))
        floor = found[0]
        changes = (float(floor.mean()), float(floor.max()), float(change))
        rows.append(Row(f"features, {source}", choice, size, changes, choice in USED))
    return rows


def depth_rows(source: str, depth: np.ndarray) -> list[Row]:
    """Per choice: the largest relative change of a depth, the loss left to a perfect student, and
    the relative change of the loss of a student that is 5 % off.
    """
    random = np.random.default_rng(5)
    target = torch.from_numpy(depth)[None]
    off = torch.from_numpy(1 + 0.05 * random.standard_normal(depth.shape).astype(np.float32))
    exact = float(depth_loss(target * off, target))
    rows = []
    for choice, store in DEPTH.items():
        read, size = store(depth)
        kept = torch.from_numpy(read)[None]
        relative = float((np.abs(read.astype(np.float64) - depth) / depth).max())
        floor = float(depth_loss(target, kept))
        change = abs(float(depth_loss(target * off, kept)) - exact) / exact
        used = choice in ("f16", "log_u16")
        rows.append(Row(f"depth, {source}", choice, size, (relative, floor, change), used))
    return rows


def confidence_rows(confidence: np.ndarray) -> list[Row]:
    """Per choice: the largest change of a confidence, which enters no loss."""
    rows = []
    for choice, store in CONFIDENCE.items():
        read, size = store(confidence)
        change = float(np.abs(read - confidence).max())
        rows.append(Row("confidence", choice, size, (change,), choice == "u8"))
    return rows


def measure(targets: GeometryTargets, oracle_features: np.ndarray) -> list[Row]:
    """All rows of a clip."""
    random = np.random.default_rng(2)
    depth = targets.depth_THW
    wide = np.exp(random.uniform(np.log(0.01), np.log(1000), depth.shape)).astype(np.float32)
    return [
        *feature_rows("encoder-like", targets.features_NTHWC),
        *feature_rows("oracle's", oracle_features),
        *depth_rows("rendered", depth),
        *depth_rows("0.01 to 1000", wide),
        *confidence_rows(targets.confidence_THW),
    ]


def missed(rows: list[Row], sizes: dict[str, int], frames: int) -> list[str]:
    """The goals that are missed, each as a sentence."""
    found = []
    for name, size in sizes.items():
        if size > GOAL_BYTES * frames / GOAL_FRAMES:
            found.append(f"a clip with {name} has {size / 1e6:.1f} MB")
    for row in rows:
        if not row.used:
            continue
        if row.what.startswith("features") and row.changes[2] > GOAL_COSINE:
            found.append(f"{row.what}: {row.choice} changes the loss by {row.changes[2]:.1e}")
        if row.what.startswith("depth") and row.changes[0] > GOAL_DEPTH:
            found.append(f"{row.what}: {row.choice} changes depth by {row.changes[0]:.1e}")
    return found


def _speed(targets: GeometryTargets, format: TargetFormat) -> tuple[int, dict[str, float]]:
    """Bytes of the object, and MB of it per second: medians of three."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.open(scratch)
        data = encode(targets, format)
        sha256 = store.put("clip", data)
        steps: dict[str, Callable[[], object]] = {
            "encode": lambda: encode(targets, format),
            "write": lambda: store.put("clip", data),
            "read and verify": lambda: Store.open(scratch).get("clip", sha256),
            "decode": lambda: decode(data),
        }
        speeds = {}
        for name, step in steps.items():
            seconds = []
            for _ in range(3):
                began = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - began)
            speeds[name] = len(data) / 1e6 / sorted(seconds)[1]
    return len(data), speeds


COLUMNS = {
    "features": ("1 - cosine, mean", "1 - cosine, worst token", "change of the loss"),
    "depth": ("largest relative change", "loss of a perfect student", "relative change of loss"),
    "confidence": ("largest change",),
}


def _print(console: Console, rows: list[Row]) -> None:
    for what in dict.fromkeys(row.what for row in rows):
        table = Table("stored as", "MB", *COLUMNS[what.split(",")[0]], title=what)
        for row in (row for row in rows if row.what == what):
            changes = [f"{change:.1e}" for change in row.changes]
            table.add_row(
                row.choice + (" *" if row.used else ""), f"{row.size / 1e6:.1f}", *changes
            )
        console.print(table)


def main() -> int:
    """Measure, print, and compare with the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=GOAL_FRAMES)
    frames, (width, height) = parser.parse_args().frames, (504, 392)
    console = Console(width=None if sys.stdout.isatty() else 120)
    exact = clips.rendered(frames, width, height)
    targets = clips.as_a_teacher_says(exact)
    rows = measure(targets, exact.features_NTHWC)
    _print(console, rows)
    for strength in (100, 300, 1000):
        stressed = clips.encoder_features(2, height // 28, width // 28, outlier=strength)
        _print(console, feature_rows(f"outliers of {strength} (no goal)", stressed))
    naive = naive_bytes(frames, width, height)
    sizes = {}
    for format in (TargetFormat(), TargetFormat(depth="log_u16"), TargetFormat(feature_group=32)):
        name = f"depth {format.depth}, groups of {format.feature_group}"
        size, speeds = _speed(targets, format)
        sizes[name] = size
        told = ", ".join(f"{step} {speed:.0f}" for step, speed in speeds.items())
        console.print(
            f"a clip of {frames} frames, {name}: {size / 1e6:.1f} MB, 1 part in"
            f" {naive / size:.0f} of the naive {naive / 1e6:,.0f} MB\n  MB/s: {told}"
        )
    faults = missed(rows, sizes, frames)
    for fault in faults:
        console.print(f"goal missed: {fault}")
    if not faults:
        console.print("* a choice of TargetFormat; goals met: 55 MB, cosine 1e-4, depth 1e-3")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
