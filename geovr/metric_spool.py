"""Metrics on their way to the tracking server: written to disk first, sent exactly once.

A step's metrics are a line of a file before anything is sent, with the time at which they were
measured. So a killed process loses none, a step that is trained again after a resume is not
reported again, and a server that is away costs nothing but patience.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("geovr")

LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Point:
    """The metrics of one step."""

    step: int
    time_ms: int
    metrics: dict[str, float]


class MetricSpool:
    """Lines on disk and a thread that sends them, in order.

    Args:
        path: of the file; lines that stand there already are sent too.
        connect: finds the server and gives the steps that it has already; tried until it works.
        send: takes points that the server lacks; all or none of them.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[], Collection[int]],
        send: Callable[[list[Point]], None],
    ) -> None:
        self.path, self._connect, self._send = path, connect, send
        self._points = _read(path)
        self._steps = {point.step for point in self._points}
        self._sent = 0
        self._known: Collection[int] | None = None
        self._closing = self._given_up = False
        self._changed = threading.Condition()
        self._complained = self._deaf = False
        self._thread = threading.Thread(target=self._work, name="metric-spool", daemon=True)
        self._thread.start()

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Keep a step's metrics; those of a step that is kept already are the same and dropped."""
        with self._changed:
            if step in self._steps:
                return
            point = Point(step, int(time.time() * 1000), dict(metrics))
            self._points.append(point)
            self._steps.add(step)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a") as file:
                    file.write(json.dumps([point.step, point.time_ms, point.metrics]) + "\n")
            except OSError as error:
                # they are still in memory, and training matters more
                if not self._deaf:
                    log.warning("%s: metrics can't be written there: %s", self.path, error)
                self._deaf = True
            self._changed.notify()

    def close(self, patience_s: float) -> bool:
        """Send what waits, for so long; whether the server has everything.

        The file is removed once the server has all of it.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience_s)
        with self._changed:
            self._given_up = True
            self._changed.notify()
            done = self._known is not None and self._sent == len(self._points)
        if done:
            self.path.unlink(missing_ok=True)
        return done

    def _work(self) -> None:
        pause = 0.25
        while True:
            with self._changed:
                waiting = self._points[self._sent :]
                if not waiting and self._known is not None:
                    if self._closing:
                        return
                    self._changed.wait(5.0)
                    continue
            try:
                if self._known is None:
                    self._known = self._connect()
                if self._given_up:  # another process may send the file's lines by now
                    return
                self._send([point for point in waiting if point.step not in self._known])
                self._sent += len(waiting)
                pause = 0.25
                if self._complained:
                    log.info("tracking server: back again; %d steps sent", len(waiting))
                    self._complained = False
            except Exception as error:  # whatever a server or its client may raise
                if not self._complained:
                    log.warning(
                        "tracking server: %s; training goes on, metrics wait in %s",
                        str(error).splitlines()[0][:300] if str(error) else repr(error),
                        self.path,
                    )
                    self._complained = True
                with self._changed:
                    if self._given_up:
                        return
                    # only giving up is worth waking for
                    self._changed.wait_for(lambda: self._given_up, pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            with self._changed:
                if not self._closing:
                    # a few steps travel together
                    self._changed.wait(2.0)


def _read(path: Path) -> list[Point]:
    """Points of a file; a last line that was cut off by a kill doesn't count."""
    if not path.exists():
        return []
    points, lines = [], path.read_text().split("\n")
    for line in lines[:-1]:
        try:
            step, time_ms, metrics = json.loads(line)
        except ValueError:
            log.warning("%s: a line is broken and left out: %.80s", path, line)
            continue
        points.append(Point(int(step), int(time_ms), dict(metrics)))
    if lines[-1]:
        path.write_text("\n".join([*lines[:-1], ""]))
    return points
