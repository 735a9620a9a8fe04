"""check_targets: ClipSet + TargetSet -> GateReport, or a refusal. details: passed, report_uri."""

from __future__ import annotations

from pathlib import Path

from geovr.artifacts import ClipSet, GateReport, TargetSet
from geovr.config import StageConfig
from geovr.quality.targets import TargetThresholds


class CheckTargetsConfig(StageConfig):
    """Thresholds of the gate on targets."""

    thresholds: TargetThresholds = TargetThresholds()


def check_targets(
    config: CheckTargetsConfig, *, clips: ClipSet, targets: TargetSet, output: Path
) -> GateReport:
    """Refuse targets that are not fit for training.

    Raises:
        GateRefused: naming what fails and the clips.
    """
    from geovr.quality.gate import run_gate
    from geovr.quality.targets import suite, tables

    expectations = suite(config.thresholds)
    inputs = {"clips": clips, "targets": targets}
    return run_gate(
        "check_targets", config, expectations, tables(clips, targets), {**inputs}, output
    )
