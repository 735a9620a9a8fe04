"""Point clouds from depth and poses, their files, and how far they are from a rendered room.

Shape suffixes: T frames, K=9 pose numbers, H W pixels, P points.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from geovr.errors import UserError
from geovr.geometry import camera
from geovr.geometry.camera import decode_pose, extrinsics_of, relative_to_first
from geovr.geometry.depth import unproject
from geovr.inspection.loading import Geometry
from geovr.storage import write_atomic


@dataclass(frozen=True)
class Cloud:
    """Coloured points in metres; the first camera is the world."""

    points_P3: np.ndarray
    colours_P3: np.ndarray


def world_points(geometry: Geometry) -> np.ndarray:
    """The point that each pixel sees, (T, H, W, 3), in metres where the scale is known."""
    size = geometry.depth_THW.shape[1:]
    scale = geometry.metric_scale or 1.0
    pose = torch.from_numpy(np.array(geometry.pose_TK, dtype=np.float64))
    pose[:, :3] *= scale
    extrinsics, intrinsics = decode_pose(pose, (size[0], size[1]))
    depth = torch.from_numpy(geometry.depth_THW.astype(np.float64)) * scale
    points: np.ndarray = unproject(depth, intrinsics, extrinsics).numpy()
    return points


def make_cloud(
    geometry: Geometry, *, voxel_m: float = 0.01, max_depth_m: float = 15.0, drop_share: float = 0.0
) -> Cloud:
    """All pixels' points, one for each voxel.

    Args:
        geometry: who says where things are.
        voxel_m: side of a voxel; the mean of its points and colours stays. 0 keeps every point.
        max_depth_m: farther points are left out.
        drop_share: share of pixels left out for their low confidence, where there is any.
    """
    points = world_points(geometry)
    kept = geometry.depth_THW * (geometry.metric_scale or 1.0) <= max_depth_m
    if geometry.confidence_THW is not None and drop_share > 0:
        kept &= geometry.confidence_THW >= np.quantile(geometry.confidence_THW, drop_share)
    kept &= np.isfinite(points).all(-1)
    points_P3, colours_P3 = points[kept], geometry.frames_THW3[kept].astype(np.float64)
    if voxel_m > 0 and len(points_P3):
        _, cell = np.unique(np.floor(points_P3 / voxel_m), axis=0, return_inverse=True)
        cell = cell.reshape(-1)
        count = np.bincount(cell)[:, None]
        points_P3, colours_P3 = (
            np.stack([np.bincount(cell, values[:, c]) for c in range(3)], axis=1) / count
            for values in (points_P3, colours_P3)
        )
    return Cloud(points_P3.astype(np.float32), np.rint(colours_P3).astype(np.uint8))


def write_ply(path: Path, cloud: Cloud) -> None:
    """Binary little-endian PLY with x y z and red green blue."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres; x right, y down, z forward\n"
        f"element vertex {len(cloud.points_P3)}\n"
        + "".join(f"property float {name}\n" for name in "xyz")
        + "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
        + "end_header\n"
    )
    kind = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertices = np.empty(len(cloud.points_P3), dtype=kind)
    vertices["xyz"], vertices["rgb"] = cloud.points_P3, cloud.colours_P3
    write_atomic(path, header.encode() + vertices.tobytes())


def write_cameras(path: Path, geometry: Geometry) -> None:
    """Cameras as JSON: 4x4 camera-from-world in metres and 3x3 intrinsics of each frame."""
    size = geometry.depth_THW.shape[1:]
    pose = torch.from_numpy(np.array(geometry.pose_TK, dtype=np.float64))
    pose[:, :3] *= geometry.metric_scale or 1.0
    extrinsics, intrinsics = decode_pose(pose, (size[0], size[1]))
    cameras = [
        {"camera_from_world": e.tolist(), "intrinsics": i.tolist()}
        for e, i in zip(extrinsics, intrinsics, strict=True)
    ]
    said = {"source": geometry.source, "height": size[0], "width": size[1], "cameras": cameras}
    write_atomic(path, json.dumps(said, indent=1).encode())


def write_rerun(path: Path, cloud: Cloud, geometry: Geometry) -> None:
    """A recording for the Rerun viewer.

    Raises:
        UserError: when rerun-sdk isn't installed.
    """
    try:
        import rerun
    except ImportError:
        raise UserError(
            "--rrd needs the package rerun-sdk (about 170 MB): `uv pip install --python"
            " .venv/bin/python rerun-sdk`"
        ) from None
    recording = rerun.RecordingStream("geovr")
    recording.log("world", rerun.ViewCoordinates.RDF, static=True)
    recording.log("world/points", rerun.Points3D(cloud.points_P3, colors=cloud.colours_P3))
    path_T3 = camera_centres(geometry)
    recording.log("world/path", rerun.LineStrips3D([path_T3.astype(np.float32)]))
    recording.save(str(path))


def camera_centres(geometry: Geometry, *, from_first: bool = False) -> np.ndarray:
    """Where the camera stood, (T, 3), in metres where the scale is known.

    Args:
        geometry: who says so.
        from_first: seen from its own first camera, which a model may put elsewhere than a teacher.
    """
    pose = torch.from_numpy(np.array(geometry.pose_TK, dtype=np.float64))
    extrinsics = extrinsics_of(pose)
    if from_first:
        extrinsics = relative_to_first(extrinsics)
    centres: np.ndarray = camera.camera_centres(extrinsics).numpy()
    return centres * (geometry.metric_scale or 1.0)
