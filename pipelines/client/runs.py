"""Runs: one for one piece of work, however often and by however many it is asked for.

KFP's names of runs are not unique, and it can't make a run "unless there is one". So a run's name
tells what it does, whoever wants a run looks for that name first, and looks again once it has made
one: of several that go on under one name, all who see them keep the same one and cancel the others.
The last to look sees them all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as kfp_api

from geovr.errors import UserError
from pipelines.client.failures import as_user_reads
from pipelines.client.server import Server

GOING = ("PENDING", "RUNNING", "PAUSED", "RUNTIME_STATE_UNSPECIFIED", None)
DONE = ("SUCCEEDED", "SKIPPED")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Outcome:
    """What became of a wish for a run.

    Attributes:
        action: created, adopted (it goes on), done before, or failed before.
        run: the one that stands for the wish.
        cancelled: ids of others that went on under its name.
    """

    action: str
    run: Any
    cancelled: tuple[str, ...] = ()


def describe(**labels: str) -> str:
    """A run's description: what KFP keeps of it, one `key: value` a line."""
    return "\n".join(f"{key}: {value}" for key, value in labels.items())


def label(run: Any, key: str) -> str | None:
    """One value of a description that `describe` wrote."""
    for line in (run.description or "").splitlines():
        name, separator, value = line.partition(": ")
        if separator and name == key:
            return str(value)
    return None


def of_name(server: Server, experiment: str, name: str) -> list[tuple[int, Any]]:
    """All tries of a name in an experiment, as (number of the try, run), the oldest first."""
    pattern = re.compile(rf"{re.escape(name)}(?:-([1-9]\d{{0,3}}))?")
    found = []
    for run in server.listed(
        f"runs named {name}", server.runs.run_service_list_runs, "runs",
        experiment_id=experiment, filter=server.named(name, "IS_SUBSTRING"),
    ):  # fmt: skip
        match = pattern.fullmatch(run.display_name or "")
        if match is not None:
            found.append((int(match[1] or 1), run))
    return sorted(found, key=lambda one: (one[0], *_age(one[1])))


def _age(run: Any) -> tuple[datetime, str]:
    return run.created_at or datetime.max.replace(tzinfo=UTC), str(run.run_id)


def ensure(
    server: Server,
    experiment: str,
    name: str,
    body: Callable[[str], Any],
    *,
    work: str | None = None,
    retry_failed: bool = True,
) -> Outcome:
    """Have a run of a name: one that goes on or has succeeded, else a new one.

    Args:
        server: KFP.
        experiment: its id.
        name: of the work. A second try, after a failed or cancelled one, is called NAME-2.
        body: the request for a run of a name.
        work: what its description must say under `work`; None where the name says it all.
        retry_failed: whether failed and cancelled runs are tried anew.

    Raises:
        UserError: when the name is that of other work.
    """
    tries = of_name(server, experiment, name)
    other = next((run for _, run in tries if work and label(run, "work") != work), None)
    if other is not None:
        raise UserError(
            f"{name}: run {other.run_id} has this name and did other work (other parameters, data"
            " or pipeline); give another --name, or none"
        )
    going, done = _in(tries, GOING), _in(tries, DONE)
    if going:
        return _settled(server, going, None)
    if done:
        return Outcome("done before", done[0])
    if tries and not retry_failed:
        return Outcome("failed before", tries[-1][1])
    own = name if not tries else f"{name}-{tries[-1][0] + 1}"

    def made_by_a_lost_try() -> Any:
        found = [run for _, run in of_name(server, experiment, name) if run.display_name == own]
        return found[0] if found else None

    made = server.ask(
        f"run {own}", server.runs.run_service_create_run, body(own), done=made_by_a_lost_try
    )
    going = _in(of_name(server, experiment, name), GOING)
    return _settled(server, going or [made], made.run_id)


def _in(tries: list[tuple[int, Any]], states: tuple[str | None, ...]) -> list[Any]:
    return [run for _, run in tries if run.state in states]


def _settled(server: Server, going: list[Any], own: str | None) -> Outcome:
    """Keep the oldest of the runs that go on."""
    kept, *others = sorted(going, key=_age)
    for run in others:
        cancel(server, run)
    action = "created" if kept.run_id == own else "adopted"
    return Outcome(action, kept, tuple(str(run.run_id) for run in others))


def find(server: Server, wanted: str, experiment: str | None = None) -> Any:
    """A run by its id, or the newest of a name.

    Raises:
        UserError: when there is none.
    """
    if _ID.fullmatch(wanted):
        return server.ask(f"run {wanted}", server.runs.run_service_get_run, wanted)
    where = {"experiment_id": experiment} if experiment else {"namespace": server.namespace}
    for run in server.listed(
        f"run {wanted}", server.runs.run_service_list_runs, "runs",
        filter=server.named(wanted), sort_by="created_at desc", **where,
    ):  # fmt: skip
        if run.display_name == wanted:
            return run
    raise UserError(f"{wanted}: no run of this id or name; `python -m pipelines status` lists them")


def newest(server: Server, experiment: str, most: int) -> list[Any]:
    """The newest runs of an experiment, the newest first."""
    found: list[Any] = []
    for run in server.listed(
        "runs", server.runs.run_service_list_runs, "runs",
        experiment_id=experiment, sort_by="created_at desc",
    ):  # fmt: skip
        if len(found) == most:
            break
        found.append(run)
    return found


def cancel(server: Server, run: Any) -> bool:
    """Have a run ended; tells whether it still went on."""
    if run.state not in GOING:
        return False
    doing = f"cancel run {run.run_id}"
    try:
        server.ask(doing, server.runs.run_service_terminate_run, run.run_id, known=(400,))
    except kfp_api.ApiException as error:
        # KFP calls a run that has ended meanwhile a bad request
        now = server.ask(doing, server.runs.run_service_get_run, run.run_id)
        if now.state in GOING:
            raise as_user_reads(error, doing, server.host) from None
        return False
    return True


def ended(run: Any) -> bool:
    """Whether nothing of a run goes on."""
    return run.state not in GOING and run.state != "CANCELING"


def wait(server: Server, run_id: str, every_s: float, tell: Callable[[Any], None]) -> Any:
    """Look at a run again and again until it has ended, and give it then."""
    while True:
        run = server.ask(f"run {run_id}", server.runs.run_service_get_run, run_id)
        tell(run)
        if ended(run):
            return run
        time.sleep(every_s)
