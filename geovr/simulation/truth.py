"""The ground truth of a clip: what `geovr simulate` wrote about its scene, at the clip's frames.

Shape suffixes: N frames of the source, T sampled frames, H W pixels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch

from geovr.data.clips import Clip
from geovr.errors import UserError

_TENSORS = ("camera_from_world_N44", "intrinsics_N33", "depth_NHW")


@dataclass(frozen=True)
class SceneTruth:
    """Exact geometry in metres, float64; conventions as in geometry/camera.py.

    Attributes:
        camera_from_world_T44: extrinsics in the room's own world.
        intrinsics_T33: in pixels of the depth.
        depth_THW: along the camera's z axis.
    """

    camera_from_world_T44: torch.Tensor
    intrinsics_T33: torch.Tensor
    depth_THW: torch.Tensor


def truth_name(scene: str) -> str:
    """Name of a scene's file in a ground_truth directory."""
    return f"{scene}.safetensors"


def read_truth(data: bytes, name: str, clip: Clip, setting: str) -> SceneTruth:
    """The ground truth of a clip's frames.

    Args:
        data: the file of its scene.
        name: of the file, for messages.
        clip: whose.
        setting: that names the directory, for messages.

    Raises:
        UserError: when it is no such file, or that of another video.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        record = json.loads(header.get("__metadata__", {}).get("record", "{}"))
        cameras, intrinsics, depth = (tensors[tensor] for tensor in _TENSORS)
    except (SafetensorError, ValueError, KeyError) as error:
        lacking = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{name}: not a ground truth file, or not all of it ({lacking}), so nothing is known"
            f" about {clip.clip_id}; delete it and run `geovr simulate` again"
        ) from None
    frames, last = len(depth), int(clip.frame_indices_T.max())
    # scenes of two simulated sets have the same names, so a name proves nothing
    other = record.get("video_sha256", clip.video_sha256) != clip.video_sha256
    if other or last >= frames:
        why = "was rendered with other video bytes" if other else f"knows {frames} frames"
        raise UserError(
            f"{name}: {why}, but clip {clip.clip_id} shows frame {last} of video"
            f" {clip.video_sha256[:12]}; it belongs to another video; point {setting} at the"
            " directory written beside this one"
        )
    chosen = torch.from_numpy(clip.frame_indices_T)
    return SceneTruth(cameras[chosen].double(), intrinsics[chosen].double(), depth[chosen].double())
