"""One head a file: camera, depth, scale, features."""

from geovr.model.heads.camera import CameraHead
from geovr.model.heads.depth import DenseDepthHead
from geovr.model.heads.feature import FeatureHead
from geovr.model.heads.scale import ScaleHead

__all__ = ["CameraHead", "DenseDepthHead", "FeatureHead", "ScaleHead"]
