"""What each planted fault does to targets.

Tensors are an object's, as stored (data/targets.py). What a fault doesn't concern stays byte for
byte, so that nothing else explains what it does to a training.

Shape suffixes: T frames, K=9 pose numbers, H W pixels, N=4 levels, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geovr.data.quantise import quantise
from geovr.data.targets import depth_of, depth_tensors, features_of, format_of
from geovr.errors import UserError

Tensors = dict[str, np.ndarray]

_FRAMES_AXIS = {
    "pose_encoding_TK": 0, "depth_THW": 0, "depth_codes_THW": 0, "confidence_THW": 0,
    "features_NTHWC": 1, "feature_scales_NTHWG": 1,
}  # fmt: skip
_FOV = 7
"""The first place of the fields of view in a pose encoding."""


def exchange(
    rows: Sequence[Any], shapes: Sequence[str], random: np.random.Generator
) -> dict[str, tuple[str, str]]:
    """Each object to another one of its shape: a single cycle through those of each shape.

    Args:
        rows: of an index.
        shapes: what must be alike, of each row.
        random: draws the cycles.

    Returns:
        an object's key to the key and sha256 of the other one, whose bytes differ.

    Raises:
        UserError: naming a clip whose targets are the only ones of their shape.
    """
    # by content, since equal targets under two keys would be exchanged for nothing
    alike: dict[str, dict[str, list[Any]]] = {}
    for row, shape in zip(rows, shapes, strict=True):
        alike.setdefault(shape, {}).setdefault(row.object_sha256, []).append(row)
    others = {}
    for shape in sorted(alike):
        contents = sorted(alike[shape])
        if len(contents) < 2:
            raise UserError(
                f"{alike[shape][contents[0]][0].clip_id}: no other clip has other targets of its"
                f" shape to exchange, {shape}; sample all clips alike"
            )
        cycle = [contents[place] for place in random.permutation(len(contents))]
        for own, other in zip(cycle, cycle[1:] + cycle[:1], strict=True):
            giver = alike[shape][other][0]
            for row in alike[shape][own]:
                others[row.object_key] = (giver.object_key, giver.object_sha256)
    return others


def shuffle_frames(tensors: Tensors, random: np.random.Generator) -> Tensors:
    """The frames of all targets in another order, the same one for all of them.

    Raises:
        ValueError: for a single frame, which has one order only.
    """
    T = len(tensors["pose_encoding_TK"])
    if T < 2:
        raise ValueError("a single frame can't be put in another order")
    order = random.permutation(T)
    while (order == np.arange(T)).all():
        order = random.permutation(T)
    return {
        name: np.take(value, order, axis=_FRAMES_AXIS[name]) if name in _FRAMES_AXIS else value
        for name, value in tensors.items()
    }


def shuffle_places(tensors: Tensors, random: np.random.Generator) -> Tensors:
    """Poses in another order; depth and features each dealt out anew over all places of all frames.

    What is left true is the clip's: its scale, and which depths and features it has, how often.
    Confidence moves with its depth.

    Raises:
        ValueError: as shuffle_frames.
    """
    changed = {"pose_encoding_TK": shuffle_frames(tensors, random)["pose_encoding_TK"]}
    orders: dict[tuple[int, ...], np.ndarray] = {}
    for name, frames in _FRAMES_AXIS.items():
        if name in changed or name not in tensors:
            continue
        values = tensors[name]
        places = values.shape[frames : frames + 3]
        if places not in orders:
            orders[places] = random.permutation(int(np.prod(places)))
        flat = values.reshape(*values.shape[:frames], -1, *values.shape[frames + 3 :])
        changed[name] = np.take(flat, orders[places], axis=frames).reshape(values.shape)
    return tensors | changed


def invert_poses(tensors: Tensors) -> Tensors:
    """Poses as camera-to-world: X_world = R^T X_cam - R^T t. Fields of view stay."""
    import torch

    from geovr.geometry.camera import camera_centres, extrinsics_of

    pose_TK = torch.from_numpy(tensors["pose_encoding_TK"]).double()
    # of a unit quaternion the inverse is the conjugate, and its w the same
    parts = [camera_centres(extrinsics_of(pose_TK)), -pose_TK[:, 3:6], pose_TK[:, 6:]]
    return tensors | {"pose_encoding_TK": torch.cat(parts, dim=-1).float().numpy()}


def invert_depth(tensors: Tensors) -> Tensors:
    """1 / depth, times what keeps the clip's mean (1 where the unit is the mean depth).

    What is not finite or not positive stays as it is.
    """
    depth = depth_of(tensors).astype(np.float64)
    good = np.isfinite(depth) & (depth > 0)
    if good.any():
        inverse = 1 / depth[good]
        depth[good] = inverse * (depth[good].mean() / inverse.mean())
    return tensors | depth_tensors(depth.astype(np.float32), format_of(tensors))


@dataclass(frozen=True)
class Moments:
    """Mean and deviation over a whole set: of each pose number, of depth, of scale, and of each
    channel of each level. Each is a pair of float64 arrays of one shape.
    """

    pose_K: tuple[np.ndarray, np.ndarray]
    depth: tuple[np.ndarray, np.ndarray]
    scale: tuple[np.ndarray, np.ndarray]
    features_NC: tuple[np.ndarray, np.ndarray]


class _Sums:
    """Sums from which mean and deviation follow, over the first axis of what is added."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, np.zeros(()), np.zeros(())

    def add(self, values: np.ndarray) -> None:
        wide = values.astype(np.float64)
        self.count += len(wide)
        self.total = self.total + wide.sum(0)
        self.squares = self.squares + np.square(wide).sum(0)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self.total / max(self.count, 1)
        variance = self.squares / max(self.count, 1) - np.square(mean)
        return mean, np.sqrt(np.maximum(variance, 0))


def moments(clips: Iterable[Tensors]) -> Moments:
    """Those of some clips. What is not defined has no part: depth that is not a positive number,
    invalid scales, and the poses of first frames, which are the world by convention.
    """
    pose, depth, scale, features = _Sums(), _Sums(), _Sums(), _Sums()
    for tensors in clips:
        pose.add(tensors["pose_encoding_TK"][1:])
        values = depth_of(tensors)
        depth.add(values[np.isfinite(values) & (values > 0)])
        scale.add(tensors["metric_scale"][tensors["metric_scale_valid"] != 0])
        levels = features_of(tensors)
        features.add(levels.transpose(1, 2, 3, 0, 4).reshape(-1, len(levels), levels.shape[-1]))
    return Moments(pose.moments(), depth.moments(), scale.moments(), features.moments())


def make_noise(tensors: Tensors, of: Moments, random: np.random.Generator) -> Tensors:
    """Poses, depth, scale and features drawn anew, each number for itself.

    Depth, scale and fields of view are log-normal, hence positive, with the set's mean and
    deviation. Translations and features are normal; so are quaternions before they are brought to
    unit length with w >= 0. The first frame stays the world, and an undefined scale undefined, as
    in any targets; confidence stays.
    """
    pose = tensors["pose_encoding_TK"].copy()
    mean, deviation = of.pose_K
    drawn = random.normal(mean, deviation, pose.shape)
    rotations = drawn[:, 3:_FOV] * np.where(drawn[:, _FOV - 1 : _FOV] < 0, -1, 1)
    drawn[:, 3:_FOV] = rotations / np.linalg.norm(rotations, axis=-1, keepdims=True)
    drawn[:, _FOV:] = _log_normal(random, mean[_FOV:], deviation[_FOV:], drawn[:, _FOV:].shape)
    pose[1:], pose[0, _FOV:] = drawn[1:], drawn[0, _FOV:]
    format = format_of(tensors)
    depth = _log_normal(random, *of.depth, depth_of(tensors).shape).astype(np.float32)
    scale = _log_normal(random, *of.scale, (1,)).astype(np.float32)
    N, T, h, w, C = tensors["features_NTHWC"].shape
    directions = random.normal(*of.features_NC, (T, h, w, N, C)).transpose(3, 0, 1, 2, 4)
    values, scales = quantise(directions, format.feature_group)
    return tensors | depth_tensors(depth, format) | {
        "pose_encoding_TK": pose,
        "metric_scale": scale if tensors["metric_scale_valid"][0] else tensors["metric_scale"],
        "features_NTHWC": values,
        "feature_scales_NTHWG": scales,
    }  # fmt: skip


def _log_normal(
    random: np.random.Generator, mean: np.ndarray, deviation: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Positive draws with a given mean and deviation: s^2 = ln(1 + (deviation / mean)^2), and
    m = ln(mean) - s^2 / 2 are those of the logarithm.
    """
    variance = np.log1p(np.square(deviation / mean))
    return random.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), shape)
