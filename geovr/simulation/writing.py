"""A scene's files, whatever preset made it: the video, then the truth that vouches for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from geovr.config import canonical_json
from geovr.simulation.record import Record, SceneSpec, truth_path, video_path
from geovr.simulation.video import encode_mp4
from geovr.storage import sha256_bytes, write_atomic


def write_scene(
    spec: SceneSpec,
    output: Path,
    rgb_NHWC: npt.NDArray[np.uint8],
    tensors: dict[str, npt.NDArray],  # type: ignore[type-arg]
    record: Record,
) -> Record:
    """Write video and ground truth; gives the record as a later run reads it from the file.

    Args:
        spec: of the scene.
        output: directory of all scenes.
        rgb_NHWC: frames.
        tensors: ground truth: camera_from_world_N44, intrinsics_N33, depth_NHW, instance_NHW;
            timestamps are added.
        record: without the video's sha256, which is added.
    """
    video = encode_mp4(rgb_NHWC, spec.fps)
    record = record | {"video_sha256": sha256_bytes(video)}
    tensors = tensors | {"timestamps_N": np.arange(spec.frames, dtype=np.float64) / spec.fps}
    write_atomic(video_path(output, spec.name), video)
    write_atomic(
        truth_path(output, spec.name), save(tensors, metadata={"record": canonical_json(record)})
    )
    # keys sorted, no tuples
    made: Record = json.loads(canonical_json(record))
    return made
