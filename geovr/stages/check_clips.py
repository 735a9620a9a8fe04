"""check_clips: ClipSet -> GateReport, or a refusal. details: passed, report_uri."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import Field

from geovr.artifacts import ClipSet, GateReport
from geovr.config import StageConfig
from geovr.leakage.likeness import LikenessConfig
from geovr.leakage.sources import BenchmarkSource
from geovr.quality.clips import ClipThresholds

log = logging.getLogger("geovr")


class CheckClipsConfig(StageConfig):
    """Thresholds of the gate on clips, and the benchmarks that must not be trained on."""

    thresholds: ClipThresholds = ClipThresholds()
    benchmarks: tuple[BenchmarkSource, ...] = Field(
        (), description="Held against what is trained on."
    )
    likeness: LikenessConfig = LikenessConfig()


def check_clips(config: CheckClipsConfig, *, clips: ClipSet, output: Path) -> GateReport:
    """Refuse clips and questions that are not fit for training.

    Raises:
        GateRefused: naming what fails and the rows.
        UserError: when a benchmark can't be read.
    """
    from geovr.leakage.holdings import of_clips
    from geovr.leakage.overlap import compare
    from geovr.quality.clips import suite, tables
    from geovr.quality.gate import run_gate
    from geovr.quality.looks import pictures

    train = of_clips(clips, "train", "training clips")
    inside = compare(train, of_clips(clips, "test", "test clips"), config.likeness, "check_clips")
    overlaps = []
    for source in config.benchmarks:
        overlaps.append(compare(train, source.open(), config.likeness, "check_clips"))
        for note in overlaps[-1].notes:
            log.info("check_clips: %s", note)
    return run_gate(
        "check_clips",
        config,
        suite(config.thresholds),
        tables(clips, inside, overlaps),
        {"clips": clips},
        output,
        pictures(clips, inside, list(zip(config.benchmarks, overlaps, strict=True))),
    )
