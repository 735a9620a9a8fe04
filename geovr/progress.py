"""Progress on long work: a bar on a terminal, else one log line a minute; rank 0 only."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from geovr import distributed

LOG_INTERVAL_S = 60.0
WINDOW_S = 120.0
"""The rate is of so long back: work that changes its pace shows the pace it has now."""
log = logging.getLogger("geovr")
T = TypeVar("T")


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is now: while a bar is drawn, to a stream that keeps it whole."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """sys.stderr."""
        return sys.stderr


class Progress:
    """Counts done items; `advance` is cheap enough to call for every item."""

    def __init__(
        self,
        description: str,
        total: int,
        unit: str,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done, self.detail, self._clock = done, "", clock
        self._seen = deque([(clock(), done)])

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Count items as done; `detail` (a loss, say) stands behind the bar."""
        self.done += count
        self.detail = detail
        now = self._clock()
        if now - self._seen[-1][0] >= WINDOW_S / 100:
            self._seen.append((now, self.done))
        while len(self._seen) > 1 and self._seen[1][0] < now - WINDOW_S:
            self._seen.popleft()

    def rate(self) -> float:
        """Items a second of late; what was done before this run counts for nothing."""
        began, before = self._seen[0]
        return (self.done - before) / max(self._clock() - began, 1e-9)

    def pace(self) -> str:
        """How fast, and how long still."""
        rate = self.rate()
        if rate <= 0:
            return "time left unknown"
        left = (self.total - self.done) / rate
        return f"{_readable(rate)} {self.unit}/s, {duration(left)} left"

    def line(self) -> str:
        """One line: what, how many of how many, how fast, how long still."""
        told = f"{self.description}: {self.done}/{self.total} {self.unit}, {self.pace()}"
        return f"{told} {self.detail}".rstrip()


def _readable(rate: float) -> str:
    return f"{rate:.1f}" if rate >= 0.1 else f"{rate:.2g}"


def duration(seconds: float, digits: int = 0) -> str:
    """A time a person reads: 59 s, 2 min 5 s, 3 h 12 min; `digits` are those of seconds alone."""
    if seconds < 120:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def progress(description: str, total: int, unit: str, done: int = 0) -> Iterator[Progress]:
    """Show progress over `total` items of `unit` while the block runs.

    Args:
        description: of the work.
        total: of all items, those of earlier runs included.
        unit: plural.
        done: items of earlier runs; they say nothing about the pace.
    """
    if distributed.rank() != 0:
        yield Progress(description, total, unit, done)
    elif sys.stderr.isatty():
        with _bar(description, total, unit, done) as bar:
            yield bar
    else:
        bar = Progress(description, total, unit, done)
        with _each_minute(lambda: log.info("%s", bar.line())):
            yield bar


def tracked(items: Iterable[T], description: str, total: int, unit: str) -> Iterator[T]:
    """The items, with progress over them."""
    with progress(description, total, unit) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def _each_minute(tell: Callable[[], None]) -> Iterator[None]:
    """Also when one item takes longer than that: a log that stands still looks dead."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(LOG_INTERVAL_S):
            tell()

    thread = threading.Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bar(description: str, total: int, unit: str, done: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    bar = Progress(description, total, unit, done)

    class Pace(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{bar.pace()} {bar.detail}".rstrip())

    class Drawn(Progress):
        def advance(self, count: int = 1, detail: str = "") -> None:
            bar.advance(count, detail)
            self.done = bar.done
            rich_bar.update(task, advance=count)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Pace())
    with RichProgress(*columns, console=Console(stderr=True)) as rich_bar:
        task = rich_bar.add_task(description, total=total, completed=done)
        yield Drawn(description, total, unit, done)
