"""The oracle: a teacher that turns exact ground truth into what a 3D model would say.

Like a real one it speaks in a unit of its own (here the clip's mean depth), relative to the first
frame. Its features are a fixed function of the visible points and normals; no category enters
them, so whatever a student gains from them it gains from geometry.

Shape suffixes: N frames of the source, T sampled frames, H W pixels, C channels, K=9 pose numbers.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geovr.data.clips import Clip
from geovr.data.targets import GeometryTargets
from geovr.errors import UserError
from geovr.geometry.camera import encode_pose, relative_to_first
from geovr.geometry.depth import normals_from_points, unproject
from geovr.storage import localise, sha256_file
from geovr.teachers.base import ClipName, TeacherCard
from geovr.teachers.config import OracleConfig

NUM_LEVELS = 4
_PROJECTION_SEED = 20260605
_TENSORS = ("camera_from_world_N44", "intrinsics_N33", "depth_NHW")


class Oracle:
    """Ground truth as a teacher. See the module's docstring.

    Raises:
        UserError: for a scene without ground truth, or one that doesn't fit its clip.
    """

    card = TeacherCard(
        name="oracle", license="Apache-2.0", commercial_use=True, weights_digest="none"
    )
    clips_per_call = 1

    def __init__(self, config: OracleConfig) -> None:
        self.config = config
        self.feature_dim = config.feature_dim
        self.root = localise(config.ground_truth)

    def key(self) -> dict[str, Any]:
        """The shape of the features; where ground truth lies decides nothing."""
        return {"teacher": "oracle", **self.config.model_dump(exclude={"ground_truth"})}

    def _file(self, clip: ClipName) -> Path:
        path = self.root / f"{clip.scene}.safetensors"
        if not path.is_file():
            raise UserError(
                f"{clip.clip_id}: the oracle needs ground truth, but {path} is missing; point"
                " extract_targets.oracle.ground_truth at the ground_truth directory that `geovr"
                " simulate` wrote beside these videos"
            )
        return path

    def clip_inputs_digest(self, clip: ClipName) -> str:
        """sha256 of the scene's ground-truth file."""
        return sha256_file(self._file(clip))

    def load(self) -> None:
        """Nothing: ground truth is read clip by clip."""

    def __call__(self, clips: list[Clip]) -> list[GeometryTargets]:
        """Targets of each clip, from the ground truth of its sampled frames."""
        return [self._say(clip) for clip in clips]

    def _truth(self, clip: Clip) -> dict[str, np.ndarray]:
        """The scene's tensors, all frames of it."""
        from safetensors import SafetensorError, safe_open

        path = self._file(clip)
        try:
            with safe_open(path, framework="np") as file:
                record = json.loads((file.metadata() or {}).get("record", "{}"))
                truth: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in _TENSORS}
        except (SafetensorError, ValueError) as error:
            raise UserError(
                f"{path}: not a ground truth file, or not all of it ({error}), so the oracle can't"
                f" speak about {clip.clip_id}; delete it and run `geovr simulate` again"
            ) from None
        frames, last = len(truth["depth_NHW"]), int(clip.frame_indices_T.max())
        # scenes of two simulated sets have the same names, so a name proves nothing
        other = record.get("video_sha256", clip.video_sha256) != clip.video_sha256
        if other or last >= frames:
            why = "was rendered with other video bytes" if other else f"knows {frames} frames"
            raise UserError(
                f"{path}: {why}, but clip {clip.clip_id} shows frame {last} of video"
                f" {clip.video_sha256[:12]}; it belongs to another video; point"
                " extract_targets.oracle.ground_truth at the directory written beside this one"
            )
        return truth

    def _say(self, clip: Clip) -> GeometryTargets:
        truth = self._truth(clip)
        chosen = {name: torch.from_numpy(truth[name][clip.frame_indices_T]) for name in _TENSORS}
        depth_THW = chosen["depth_NHW"].double()
        poses_T44 = relative_to_first(chosen["camera_from_world_N44"].double())
        intrinsics_T33 = chosen["intrinsics_N33"].double()
        finite = depth_THW[depth_THW.isfinite()]
        unit = float(finite.mean()) if len(finite) else math.nan
        valid = math.isfinite(unit) and unit > 0
        unit = unit if valid else 1.0
        depth_THW = depth_THW / unit
        poses_T44[:, :3, 3] /= unit
        _, H, W = depth_THW.shape
        # bad depth is check_targets' to name; 1 keeps it from spreading over the features
        seen = torch.where(depth_THW.isfinite(), depth_THW, 1.0)
        points = unproject(seen, intrinsics_T33, poses_T44)
        return GeometryTargets(
            pose_encoding_TK=encode_pose(poses_T44, intrinsics_T33, (H, W)).float().numpy(),
            depth_THW=depth_THW.float().numpy(),
            confidence_THW=depth_THW.isfinite().float().numpy(),
            metric_scale=unit,
            metric_scale_valid=valid,
            features_NTHWC=self._features(points),
        )

    def _features(self, points_THW3: torch.Tensor) -> np.ndarray:
        """Four levels of unit features: Fourier bands of points and normals, averaged per cell."""
        cell = self.config.feature_cell
        T, H, W, _ = points_THW3.shape
        rows, columns = max(1, round(H / cell)), max(1, round(W / cell))
        what = torch.cat([points_THW3, normals_from_points(points_THW3)], dim=-1).float()
        generator = torch.Generator().manual_seed(_PROJECTION_SEED)
        levels = []
        for level in range(NUM_LEVELS):
            angle = what * (math.pi / 4 * 2**level)
            waves = torch.cat([angle.sin(), angle.cos()], dim=-1).permute(0, 3, 1, 2)
            mix = torch.randn(waves.shape[1], self.feature_dim, generator=generator)
            # averaging before the projection gives the same, at a fraction of the work
            pooled = torch.nn.functional.adaptive_avg_pool2d(waves, (rows, columns))
            levels.append(torch.nn.functional.normalize(pooled.permute(0, 2, 3, 1) @ mix, dim=-1))
        features: np.ndarray = torch.stack(levels).numpy()
        return features.reshape(NUM_LEVELS, T, rows, columns, self.feature_dim)
