"""Progress on long work: a bar on a terminal, else one log line a minute; rank 0 only."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from geovr import distributed

LOG_INTERVAL_S = 60.0
log = logging.getLogger("geovr")


class Progress:
    """Counts done items; `advance` is cheap enough to call for every item."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done, self.detail = 0, ""
        self.start = self.last_log = time.monotonic()

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Count items as done; `detail` (a loss, say) stands behind the bar."""
        self.done += count
        self.detail = detail
        now = time.monotonic()
        if now - self.last_log >= LOG_INTERVAL_S:
            self.last_log = now
            log.info("%s", self.line(now))

    def rate(self, now: float) -> float:
        """Items a second, since the start."""
        return self.done / max(now - self.start, 1e-9)

    def line(self, now: float) -> str:
        """One line: what, how many of how many, how fast, how long still."""
        rate = self.rate(now)
        left = (self.total - self.done) / rate if rate > 0 else float("inf")
        return (
            f"{self.description}: {self.done}/{self.total} {self.unit}, "
            f"{rate:.1f} {self.unit}/s, {left:.0f} s left {self.detail}"
        ).rstrip()


class _Bar(Progress):
    def __init__(self, description: str, total: int, unit: str, bar: object, task: object) -> None:
        super().__init__(description, total, unit)
        self._bar, self._task = bar, task

    def advance(self, count: int = 1, detail: str = "") -> None:
        self.done += count
        told = f"{self.rate(time.monotonic()):.1f} {self.unit}/s {detail}".rstrip()
        self._bar.update(self._task, advance=count, detail=told)  # type: ignore[attr-defined]


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Progress]:
    """Show progress over `total` items of `unit` while the block runs."""
    if distributed.rank() != 0 or not sys.stderr.isatty():
        bar = Progress(description, total, unit)
        if distributed.rank() != 0:
            bar.last_log = float("inf")
        yield bar
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as rich_bar:
        task = rich_bar.add_task(description, total=total, detail="")
        yield _Bar(description, total, unit, rich_bar, task)
