"""Runs and schedules for people and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from geovr.progress import duration
from geovr.stages import STAGES
from pipelines.client.runs import label
from pipelines.client.schedules import enabled


def moment(time: datetime | None) -> datetime | None:
    """A time that KFP tells; what it doesn't know it tells as the beginning of 1970."""
    return time if time is not None and time.timestamp() > 0 else None


def state(thing: Any) -> str:
    """Of a run or a task, in small letters."""
    return str(thing.state or "unknown").lower()


def stages_of(run: Any) -> dict[str, Any]:
    """Stage name -> KFP's newest task of it; the flow's order, those that are known of."""
    tasks = (run.run_details and run.run_details.task_details) or []
    found: dict[str, Any] = {}
    for stage in STAGES:
        own = [task for task in tasks if task.display_name == stage.name.replace("_", "-")]
        if own:
            found[stage.name] = max(
                own, key=lambda one: moment(one.start_time) or datetime.min.replace(tzinfo=UTC)
            )
    return found


def error_of(thing: Any) -> str:
    """What KFP says went wrong with a run or a task; often it says nothing."""
    history = [one.error for one in thing.state_history or [] if one.error]
    for error in [thing.error, *reversed(history)]:
        if error is not None and error.message:
            return str(error.message)
    return ""


def failed_stage(run: Any) -> str | None:
    """The first stage that failed."""
    return next((name for name, task in stages_of(run).items() if task.state == "FAILED"), None)


def seconds(began: datetime | None, ended: datetime | None) -> float | None:
    """How long something has taken so far, or took."""
    if moment(began) is None or began is None:
        return None
    return ((moment(ended) or datetime.now(UTC)) - began).total_seconds()


def run_values(run: Any, *, stages: bool) -> dict[str, Any]:
    """A run as JSON."""
    values: dict[str, Any] = {
        "run_id": run.run_id,
        "name": run.display_name,
        "state": state(run),
        "created": _iso(run.created_at),
        "finished": _iso(run.finished_at),
        "seconds": seconds(run.created_at, run.finished_at),
        "data": label(run, "data"),
        "failed_stage": failed_stage(run),
        "schedule": run.recurring_run_id or None,
        "error": error_of(run) or None,
    }
    if stages:
        values["stages"] = [
            {
                "stage": name, "state": state(task), "started": _iso(task.start_time),
                "finished": _iso(task.end_time),
                "seconds": seconds(task.start_time, task.end_time),
                "error": error_of(task) or None,
            }
            for name, task in stages_of(run).items()
        ]  # fmt: skip
    return values


def _iso(time: datetime | None) -> str | None:
    found = moment(time)
    return found.isoformat() if found else None


def schedule_values(schedule: Any) -> dict[str, Any]:
    """A schedule as JSON."""
    trigger = schedule.trigger
    cron = trigger and trigger.cron_schedule
    periodic = trigger and trigger.periodic_schedule
    when = cron or periodic
    reference = schedule.pipeline_version_reference
    return {
        "recurring_run_id": schedule.recurring_run_id,
        "name": schedule.display_name,
        "enabled": enabled(schedule),
        "cron": cron.cron if cron else None,
        "interval_seconds": int(periodic.interval_second) if periodic else None,
        "start": _iso(when.start_time) if when else None,
        "end": _iso(when.end_time) if when else None,
        "pipeline": label(schedule, "pipeline"),
        "pipeline_version_id": reference.pipeline_version_id if reference else None,
        "created": _iso(schedule.created_at),
    }


def print_runs(runs: Sequence[Any]) -> None:
    """A table of runs."""
    rows = []
    for run in runs:
        values = run_values(run, stages=False)
        rows.append([
            values["name"], values["run_id"], values["state"], _minute(run.created_at),
            _long(values["seconds"]), (values["data"] or "")[:40], values["failed_stage"] or "",
        ])  # fmt: skip
    headings = ["name", "run", "state", "started (UTC)", "took", "data", "failed stage"]
    _table("Runs", headings, rows)


def print_run(run: Any) -> None:
    """One run with its stages."""
    values = run_values(run, stages=True)
    rows = [
        [
            one["stage"], one["state"], one["started"] or "", _long(one["seconds"]),
            one["error"] or "",
        ]
        for one in values["stages"]
    ]  # fmt: skip
    took = _long(values["seconds"])
    title = f"{values['name']} ({values['run_id']}): {values['state']} {took}"
    _table(title, ["stage", "state", "started", "took", "error"], rows)
    for line in (run.description or "").splitlines():
        print(line)
    if values["error"]:
        print(f"error: {values['error']}")


def print_schedules(schedules: Sequence[Any]) -> None:
    """A table of schedules."""
    rows = []
    for one in schedules:
        values = schedule_values(one)
        fires = values["cron"] or f"every {duration(values['interval_seconds'] or 0)}"
        rows.append([
            values["name"], "enabled" if values["enabled"] else "disabled", fires,
            values["pipeline"] or values["pipeline_version_id"] or "", values["recurring_run_id"],
        ])  # fmt: skip
    _table("Schedules", ["name", "state", "fires", "pipeline version", "id"], rows)


def _minute(time: datetime | None) -> str:
    found = moment(time)
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M}" if found else ""


def _long(taken: float | None) -> str:
    return "" if taken is None else duration(taken)


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    # a log is no terminal, and a table cut to 80 columns says nothing
    Console(width=None if sys.stdout.isatty() else 170).print(table, markup=False)
