"""Targets to measure on: a rendered clip's exact ones, and features as large encoders make them.

Shape suffixes: T frames, H W rows and columns, N=4 levels, C channels.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from geovr.data.clips import Clip
from geovr.data.targets import GeometryTargets
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.storage import sha256_file
from geovr.teachers.config import OracleConfig
from geovr.teachers.oracle import Oracle

LEVELS, CHANNELS, POOLED_PATCH = 4, 1024, 28


def rendered(frames: int, width: int, height: int, channels: int = CHANNELS) -> GeometryTargets:
    """What the oracle says about a rendered room, in the shape of a real teacher's targets."""
    with tempfile.TemporaryDirectory() as scratch:
        config = SimulateConfig(
            output=Path(scratch), train_scenes=1, test_scenes=0, size=f"{width}x{height}",
            frames=frames, processes=1,
        )  # fmt: skip
        simulate(config)
        (truth,) = Path(scratch).glob("ground_truth/*.safetensors")
        (video,) = Path(scratch).rglob("*.mp4")
        assert len(load_file(truth)["depth_NHW"]) == frames
        settings = OracleConfig(
            ground_truth=str(truth.parent), feature_dim=channels, feature_cell=POOLED_PATCH
        )
        clip = Clip(
            clip_id=truth.stem, scene=truth.stem, video_sha256=sha256_file(video),
            frames_THWC=np.zeros((frames, height, width, 3), dtype=np.uint8),
            timestamps_T=np.arange(frames) / 2, frame_indices_T=np.arange(frames), moving=True,
        )  # fmt: skip
        return Oracle(settings)([clip])[0]


def encoder_features(
    frames: int, rows: int, columns: int, channels: int = CHANNELS, outlier: float = 30.0
) -> np.ndarray:
    """Features with the statistics that make a vision transformer's hard to round.

    Channels of very different strength, heavy tails, a few channels that outweigh the others
    `outlier`-fold in every token with a sign of their own, a few tokens of ten times the norm, and
    levels whose norm grows with depth. The weights can't be had where this runs; how encoders'
    residual streams look is known from the literature on massive activations and registers.

    Returns:
        (N, T, H, W, C) float32.
    """
    random = np.random.default_rng(7)
    shape = (LEVELS, frames, rows, columns)
    features = random.standard_t(4, size=(*shape, channels)).astype(np.float32)
    # neighbours resemble each other
    features[:, :, 1:] += 0.7 * features[:, :, :-1]
    features[:, :, :, 1:] += 0.7 * features[:, :, :, :-1]
    features *= random.lognormal(0, 0.6, channels).astype(np.float32)
    loud = random.choice(channels, max(1, channels // 128), replace=False)
    signs = random.choice([-1.0, 1.0], len(loud))
    strength = outlier * random.uniform(0.3, 1.0, len(loud)) * signs * np.median(abs(features))
    features[..., loud] += strength.astype(np.float32)
    features[random.random(shape) < 0.005] *= 10
    features *= np.float32([0.5, 2, 8, 32])[:, None, None, None, None]
    return features


def as_a_teacher_says(exact: GeometryTargets) -> GeometryTargets:
    """A rendered clip's geometry with an encoder's features and soft confidence."""
    frames, rows, columns = exact.features_NTHWC.shape[1:4]
    confidence = np.random.default_rng(3).uniform(0, 1, exact.depth_THW.shape)
    return replace(
        exact,
        features_NTHWC=encoder_features(frames, rows, columns),
        confidence_THW=confidence.astype(np.float32),
    )
