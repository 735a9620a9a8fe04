"""When a schedule fires, checked here: KFP takes five fields too, and reads seconds first."""

from __future__ import annotations

import re
from datetime import datetime

from geovr.errors import UserError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def check_cron(cron: str) -> str:
    """A cron of six fields as KFP's library (robfig/cron, version 1) reads it, spaces made single.

    Raises:
        UserError: naming the field, and what it may hold.
    """
    fields = cron.split()
    if len(fields) == 5:
        raise UserError(
            f'--cron "{cron}": five fields; KFP\'s first field is seconds, so write'
            f' "0 {" ".join(fields)}"'
        )
    if len(fields) != 6:
        raise UserError(
            f'--cron "{cron}": {len(fields)} fields; give six, as in "0 0 2 * * *" (each day at 2):'
            f" {', '.join(name for name, *_ in _FIELDS)}"
        )
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            fault = _fault(part.lower(), low, high, names)
            if fault:
                also = f" or {names[0]} to {names[-1]}" if names else ""
                raise UserError(
                    f'--cron "{cron}": {name}: {part!r}: {fault}; it takes {low} to {high}{also},'
                    " ranges (1-5), lists (1,3), steps (*/10) and *"
                )
    return " ".join(fields)


def _fault(part: str, low: int, high: int, names: tuple[str, ...]) -> str | None:
    match = re.fullmatch(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\w+))?", part, re.ASCII)
    if match is None or (match[2] and match[1] in "*?"):
        return "can't be read"

    def number(text: str) -> int | None:
        if text in names:
            return names.index(text) + low
        return int(text) if text.isdigit() else None

    ends = [text for text in match.groups()[:2] if text and text not in "*?"]
    values = [number(text) for text in ends]
    for text, value in zip(ends, values, strict=True):
        if value is None:
            return f"{text} is no number"
        if not low <= value <= high:
            return f"{text} is out of range"
    first, *last = [value for value in values if value is not None] or [low]
    if last and last[0] < first:
        return "ends before it begins"
    if match[3] and (not match[3].isdigit() or int(match[3]) == 0):
        return f"{match[3]} is no step"
    return None


def check_interval(text: str) -> int:
    """Seconds of an interval such as 6h or 30m.

    Raises:
        UserError: when it is none.
    """
    match = re.fullmatch(r"([1-9]\d{0,8})\s*([smhdw])", text.strip())
    if match is None:
        raise UserError(f"--interval {text}: give a number and a unit: 90s, 30m, 6h, 1d or 1w")
    return int(match[1]) * _UNITS[match[2]]


def check_time(option: str, text: str | None) -> datetime | None:
    """A moment with its zone, to the second, as KFP keeps it.

    Raises:
        UserError: when it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text}: give a moment as 2026-12-24T02:00:00Z") from None
    if moment.tzinfo is None:
        raise UserError(f"{option} {text}: say in which zone, as {text}Z (UTC) or {text}+01:00")
    return moment.replace(microsecond=0)
