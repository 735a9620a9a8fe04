"""The window of time that a scheduled run takes its data from, and paths that name it.

A window ends at the scheduled time, floored to the window's length in UTC, and starts one length
before: a run at 02:00 with `every: 1d` takes the day before. Days start at 00:00, several days on
Mondays' count, so the same time always gives the same window.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from geovr.config import Config
from geovr.errors import UserError

if TYPE_CHECKING:
    from geovr.ingesting.config import IngestConfig

_LENGTH = re.compile(r"([1-9][0-9]{0,3})([dh])")
_FIELD = re.compile(r"\{(start|end):([^{}]*)\}")
_DIRECTIVES = re.compile(r"(?:[^%]|%[YmdHMSjGVu])+")
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_MACRO = re.compile(r"[0-9]{14}")
_NO_TIME = ("{{$", "[[")
"""How a time begins that Kubeflow has left as it was."""


class WindowConfig(Config):
    """How much data a scheduled run takes."""

    every: str = Field(..., description="Length: a number of days (1d) or of hours (6h).")

    @field_validator("every")
    @classmethod
    def _length(cls, every: str) -> str:
        found = _LENGTH.fullmatch(every)
        if found is None:
            raise ValueError(f"{every}: write a number of days as 1d, or of hours as 6h")
        if found[2] == "h" and 24 % int(found[1]):
            raise ValueError(f"{every}: hours must divide a day, so that windows start at one time")
        return every

    @property
    def length(self) -> timedelta:
        """The same, to calculate with."""
        number, unit = int(self.every[:-1]), self.every[-1]
        return timedelta(days=number) if unit == "d" else timedelta(hours=number)


class Window(Config):
    """From `start`, until before `end`."""

    start: datetime
    end: datetime


def scheduled_time(text: str) -> datetime:
    """The time that a run was scheduled for.

    Args:
        text: RFC 3339 with a zone, or the 14 digits that Kubeflow makes of [[ScheduledTime]] in a
            recurring run's parameters, which are UTC.

    Raises:
        UserError: when it is neither.
    """
    try:
        if _MACRO.fullmatch(text):
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except ValueError:
        pass
    hint = "" if is_time(text) else "; Kubeflow fills that in for recurring runs alone"
    raise UserError(
        f"ingest.scheduled: {text}: no time with a zone, such as 2026-11-27T02:00:00Z{hint}"
    )


def is_time(text: str | None) -> bool:
    """Whether Kubeflow gave a scheduled time; servers that know none leave its placeholder."""
    return bool(text) and not str(text).startswith(_NO_TIME)


def window_at(scheduled: str, config: WindowConfig) -> Window:
    """The window of a scheduled time; the same time always gives the same one."""
    since = scheduled_time(scheduled) - _FIRST_MONDAY
    end = _FIRST_MONDAY + since // config.length * config.length
    return Window(start=end - config.length, end=end)


def resolve(text: str, window: Window | None, key: str) -> str:
    """A path with the window's times in it.

    Args:
        text: may hold {start:FORMAT} and {end:FORMAT}, such as s3://videos/{start:%Y-%m-%d}/.
        window: None where there is none, in which case a path must name none.
        key: that holds the path, for messages.

    Raises:
        UserError: for a template without a window, or one that can't be read.
    """

    def time(found: re.Match[str]) -> str:
        if window is None:
            raise UserError(
                f"{key}: {text}: names the time of a window, so it needs"
                " `ingest.window: {every: 1d}` and a scheduled time: --scheduled"
                " 2026-11-27T02:00:00Z; a schedule on a cluster gives its own"
            )
        if not _DIRECTIVES.fullmatch(found[2]) or "%" not in found[2]:
            raise UserError(
                f"{key}: {found[0]}: write a time such as {{{found[1]}:%Y-%m-%d}}, of %Y %m %d %H"
                " %M %S %j %G %V %u"
            )
        moment = window.start if found[1] == "start" else window.end
        return moment.strftime(found[2])

    filled = _FIELD.sub(time, text)
    if window is not None and re.search(r"[{}]", filled):
        raise UserError(
            f"{key}: {text}: what stands in braces is no {{start:%Y-%m-%d}} or {{end:%Y-%m-%d}}"
        )
    return filled


def window_of(config: IngestConfig) -> Window | None:
    """The window of a config that has one and was given a time."""
    if config.window is None or config.scheduled is None:
        return None
    return window_at(config.scheduled, config.window)


def resolved(config: IngestConfig) -> IngestConfig:
    """The config with its paths resolved; what names no window stays what it is.

    Raises:
        UserError: for a template without a window, or one that can't be read.
    """
    window = window_of(config)
    videos = resolve(config.videos, window, "ingest.videos") if config.videos else config.videos
    questions = tuple(
        one.model_copy(
            update={"path": resolve(one.path, window, f"ingest.questions.{number}.path")}
        )
        for number, one in enumerate(config.questions)
    )
    return config.model_copy(update={"videos": videos, "questions": questions})
