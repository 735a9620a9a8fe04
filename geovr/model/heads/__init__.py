"""Heads of the geometric objectives; all are for training only."""

from geovr.model.heads.camera import CameraHead
from geovr.model.heads.depth import DenseDepthHead, DPTDepthHead, MLPDepthHead, make_depth_head
from geovr.model.heads.feature import FeatureHead
from geovr.model.heads.scale import ScaleHead, scale_from_log

__all__ = [
    "CameraHead",
    "DPTDepthHead",
    "DenseDepthHead",
    "FeatureHead",
    "MLPDepthHead",
    "ScaleHead",
    "make_depth_head",
    "scale_from_log",
]
