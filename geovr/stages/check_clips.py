"""check_clips: ClipSet -> GateReport, or a refusal. details: passed, report_uri."""

from __future__ import annotations

from pathlib import Path

from geovr.artifacts import ClipSet, GateReport
from geovr.config import StageConfig
from geovr.quality.clips import ClipThresholds


class CheckClipsConfig(StageConfig):
    """Thresholds of the gate on clips."""

    thresholds: ClipThresholds = ClipThresholds()


def check_clips(config: CheckClipsConfig, *, clips: ClipSet, output: Path) -> GateReport:
    """Refuse clips and questions that are not fit for training.

    Raises:
        GateRefused: naming what fails and the rows.
    """
    from geovr.quality.clips import suite, tables
    from geovr.quality.gate import run_gate

    expectations = suite(config.thresholds)
    inputs = {"clips": clips}
    return run_gate("check_clips", config, expectations, tables(clips), {**inputs}, output)
