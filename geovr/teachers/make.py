"""Teachers by their configs."""

from __future__ import annotations

from geovr.teachers.base import Teacher
from geovr.teachers.config import (
    DepthAnything3Config,
    OracleConfig,
    TeacherConfig,
    VggtConfig,
)


def make_teacher(config: TeacherConfig) -> Teacher:
    """The teacher that a config describes, on this process's device; its weights aren't loaded yet.

    Raises:
        UserError: when its package isn't installed, or its ground truth or the weights file, where
            their digest isn't given, are missing.
    """
    if isinstance(config, OracleConfig):
        from geovr.teachers.oracle import Oracle

        return Oracle(config)
    from geovr.teachers.network import Network, Placement
    from geovr.teachers.runner import FoundationTeacher

    placement = Placement.choose(config.precision)
    network: Network
    if isinstance(config, DepthAnything3Config):
        from geovr.teachers.depth_anything3 import load_depth_anything3

        network = load_depth_anything3(config, placement)
    elif isinstance(config, VggtConfig):
        from geovr.teachers.vggt import load_vggt

        network = load_vggt(config, placement)
    else:
        from geovr.teachers.vggt_omega import load_vggt_omega

        network = load_vggt_omega(config, placement)
    metric = None
    if config.metric is not None:
        from geovr.teachers.depth_anything3 import load_metric

        metric = load_metric(config.metric, placement)
    return FoundationTeacher(
        network, metric, config, longer_side=config.longer_side, placement=placement
    )
