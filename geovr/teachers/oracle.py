"""The oracle: a teacher that turns exact ground truth into what a 3D model would say.

Like a real one it speaks in a unit of its own (here the clip's mean depth), relative to the first
frame. Its features are a fixed function of the visible points and normals; no category enters
them, so whatever a student gains from them it gains from geometry.

Shape suffixes: N frames of the source, T sampled frames, H W pixels, C channels, K=9 pose numbers.
"""

from __future__ import annotations

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
from geovr.simulation.truth import read_truth, truth_name
from geovr.storage import localise, sha256_file
from geovr.teachers.base import ClipName, TeacherCard
from geovr.teachers.config import OracleConfig

NUM_LEVELS = 4
_PROJECTION_SEED = 20260605
_SETTING = "extract_targets.oracle.ground_truth"


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
        path = self.root / truth_name(clip.scene)
        if not path.is_file():
            raise UserError(
                f"{clip.clip_id}: the oracle needs ground truth, but {path} is missing; point"
                f" {_SETTING} at the ground_truth directory that `geovr simulate` wrote beside"
                " these videos"
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

    def _say(self, clip: Clip) -> GeometryTargets:
        path = self._file(clip)
        truth = read_truth(path.read_bytes(), str(path), clip, _SETTING)
        poses_T44 = relative_to_first(truth.camera_from_world_T44)
        depth_THW, intrinsics_T33 = truth.depth_THW, truth.intrinsics_T33
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
