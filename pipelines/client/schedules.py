"""Schedules (KFP: recurring runs): one of a name, made to be what is wanted.

KFP can't change one, so it is replaced: the new one is made, disabled; the old one is deleted; the
new one is enabled. At no moment are two enabled, and a creation that fails leaves the old one at
work. A time that passes between the last two steps is not lost: KFP counts from when a schedule was
made, so it starts that run on enabling. One that passes between the first two may be run twice.
After a kill the same command goes on from what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as kfp_api

from geovr.errors import UserError
from pipelines.client.server import Server

_PASSES = 6
_KEEP_RUNS = "ORPHAN"
"""Kubernetes would else delete a schedule's runs with it, those that are at work too."""


@dataclass(frozen=True)
class Applied:
    """What was done to have a schedule.

    Attributes:
        action: created, replaced, enabled, disabled or unchanged.
        schedule: as it stands now.
        steps: what was done, in order.
    """

    action: str
    schedule: Any
    steps: tuple[str, ...]


def of_name(server: Server, experiment: str, name: str) -> list[Any]:
    """The schedules of a name in an experiment, the oldest first."""
    found = server.listed(
        f"schedule {name}", server.schedules.recurring_run_service_list_recurring_runs,
        "recurring_runs", experiment_id=experiment, filter=server.named(name),
    )  # fmt: skip
    return sorted((one for one in found if one.display_name == name), key=_age)


def listed(server: Server, experiment: str) -> list[Any]:
    """All schedules of an experiment."""
    return list(
        server.listed(
            "schedules", server.schedules.recurring_run_service_list_recurring_runs,
            "recurring_runs", experiment_id=experiment, sort_by="display_name",
        )
    )  # fmt: skip


def enabled(schedule: Any) -> bool:
    """Whether it starts runs."""
    return bool(schedule.status == "ENABLED" or (not schedule.status and schedule.mode == "ENABLE"))


def ensure(server: Server, wanted: Any, *, enable: bool) -> Applied:
    """Have exactly one schedule of a name, equal to what is wanted.

    Args:
        server: KFP.
        wanted: the request for it.
        enable: whether it starts runs.

    Raises:
        UserError: when somebody else changes it all the while.
    """
    name, was_there = wanted.display_name, False
    steps: list[str] = []
    for number in range(_PASSES):
        found = of_name(server, wanted.experiment_id, name)
        was_there = was_there or (number == 0 and bool(found))
        step = _step(server, found, wanted, enable)
        if step is None:
            return Applied(_action(steps, was_there), found[0], tuple(steps))
        steps += step
    raise UserError(
        f"schedule {name}: is changed by someone else all the while; agree with them on what it"
        " should be, then run the same command again"
    )


def _step(server: Server, found: list[Any], wanted: Any, enable: bool) -> list[str] | None:
    """One pass towards what is wanted; None when it is there."""
    equal = [one for one in found if _spec(one) == _spec(wanted)]
    if not equal:
        made = _create(server, wanted)
        return [f"made {made.recurring_run_id}, disabled"]
    # all who look choose the same one
    kept = min(equal, key=lambda one: (not enabled(one), *_age(one)))
    others = [one for one in found if one is not kept]
    for one in others:
        delete(server, one)
    if others:
        return [f"deleted {one.recurring_run_id}" for one in others]
    if enabled(kept) != enable:
        _switch(server, kept, enable)
        return [f"{'enabled' if enable else 'disabled'} {kept.recurring_run_id}"]
    return None


def _action(steps: list[str], was_there: bool) -> str:
    if not steps:
        return "unchanged"
    if not was_there:
        return "created"
    if any(step.startswith(("made", "deleted")) for step in steps):
        return "replaced"
    return steps[-1].split()[0]


def _create(server: Server, wanted: Any) -> Any:
    name = wanted.display_name
    wanted.mode = "DISABLE"

    def made_by_a_lost_try() -> Any:
        found = of_name(server, wanted.experiment_id, name)
        return next((one for one in found if _spec(one) == _spec(wanted)), None)

    return server.ask(
        f"schedule {name}", server.schedules.recurring_run_service_create_recurring_run, wanted,
        done=made_by_a_lost_try,
    )  # fmt: skip


def _switch(server: Server, schedule: Any, enable: bool) -> None:
    service = server.schedules
    request = (
        service.recurring_run_service_enable_recurring_run
        if enable
        else service.recurring_run_service_disable_recurring_run
    )
    _unless_gone(server, f"schedule {schedule.display_name}", request, schedule.recurring_run_id)


def delete(server: Server, schedule: Any) -> None:
    """Delete a schedule; its runs stay, and those that are at work go on."""
    _unless_gone(
        server, f"schedule {schedule.display_name}",
        server.schedules.recurring_run_service_delete_recurring_run,
        schedule.recurring_run_id, propagation_policy=_KEEP_RUNS,
    )  # fmt: skip


def _unless_gone(server: Server, doing: str, request: Any, *args: Any, **values: Any) -> None:
    try:
        server.ask(doing, request, *args, known=(404,), **values)
    except kfp_api.ApiException:
        return  # deleted by someone else meanwhile; the next look at the list tells what stands


def _age(schedule: Any) -> tuple[datetime, str]:
    return schedule.created_at or datetime.max.replace(tzinfo=UTC), str(schedule.recurring_run_id)


def _spec(schedule: Any) -> dict[str, Any]:
    """All that decides what a schedule does, but for whether it is enabled."""
    trigger, runtime = schedule.trigger, schedule.runtime_config
    when = trigger and (trigger.cron_schedule or trigger.periodic_schedule)
    reference = schedule.pipeline_version_reference
    return {
        "pipeline": reference and (reference.pipeline_id, reference.pipeline_version_id),
        "parameters": dict((runtime and runtime.parameters) or {}),
        "root": (runtime and runtime.pipeline_root) or "",
        "service account": schedule.service_account or "",
        "at once": int(schedule.max_concurrency or 0),
        "catch up": not schedule.no_catchup,
        "cron": getattr(when, "cron", None),
        "interval": int(getattr(when, "interval_second", None) or 0),
        "start": when and _moment(when.start_time),
        "end": when and _moment(when.end_time),
        "description": schedule.description or "",
    }


def _moment(moment: datetime | None) -> float | None:
    """Seconds; what KFP doesn't know it tells as the beginning of 1970."""
    return (moment.timestamp() if moment else 0) or None
