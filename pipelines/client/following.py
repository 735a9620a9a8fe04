"""Waiting for a run: what its stages do as they do it, and in the end how it went."""

from __future__ import annotations

import time
from typing import Any

import typer

from geovr.errors import GateRefused, Interrupted, RunFailed
from geovr.progress import duration
from pipelines.client.failures import Away
from pipelines.client.runs import wait
from pipelines.client.server import Server
from pipelines.client.show import error_of, failed_stage, seconds, stages_of, state

POLL_S = 10.0
PATIENCE_S = 900.0
"""For how long a server may be away while a run is waited for: it, too, is upgraded at times."""
_GATES = ("check_clips", "check_targets")


def follow(server: Server, run: Any) -> Any:
    """Wait for a run's end, telling what its stages do on stderr, and give it when it succeeded.

    Raises:
        GateRefused: when a gate said no, as far as KFP tells.
        RunFailed: when it failed or was cancelled otherwise.
        Interrupted: when the waiting is stopped; the run goes on.
    """
    told: dict[str, str] = {}

    def tell(now: Any) -> None:
        for name, task in stages_of(now).items():
            if told.get(name) != state(task):
                told[name] = state(task)
                took = seconds(task.start_time, task.end_time)
                after = f" in {duration(took)}" if took and task.state == "SUCCEEDED" else ""
                typer.echo(f"{name}: {state(task)}{after}", err=True)

    try:
        ended = _patiently(server, run.run_id, tell)
    except (Interrupted, KeyboardInterrupt) as error:
        why = "" if isinstance(error, KeyboardInterrupt) else f" ({error})"
        raise Interrupted(
            f"run {run.run_id} goes on, only the waiting has ended{why}; `python -m pipelines"
            f" cancel {run.run_id}` ends it, `python -m pipelines status {run.run_id}` shows it"
        ) from None
    return succeeded(ended)


def _patiently(server: Server, run_id: str, tell: Any) -> Any:
    seen = time.monotonic()

    def seen_again(now: Any) -> None:
        nonlocal seen
        seen = time.monotonic()
        tell(now)

    while True:
        try:
            return wait(server, run_id, POLL_S, seen_again)
        except Away as error:
            if time.monotonic() - seen > PATIENCE_S:
                raise
            typer.echo(f"{error}; still waiting", err=True)
            time.sleep(POLL_S)


def succeeded(run: Any) -> Any:
    """A run that has ended well.

    Raises:
        GateRefused, RunFailed: when it has not, naming the stage.
    """
    if run.state in ("SUCCEEDED", "SKIPPED"):
        return run
    stage = failed_stage(run)
    error = error_of(stages_of(run)[stage]) if stage else ""
    error = error or error_of(run)
    message = (
        f"run {run.display_name} ({run.run_id}) {state(run)}{f' in {stage}' if stage else ''}"
        f"{f': {error}' if error else ''}"
    )
    # KFP passes on no exit code of a stage, so that a gate's refusal is one only where its words
    # came through; a gate's pod may as well have had no memory
    if stage in _GATES:
        if "GateRefused" in error:
            raise GateRefused(message)
        raise RunFailed(
            f"{message}; KFP doesn't tell whether the gate refused or its pod failed: see the"
            " step's log, and the gate's report, which is in the store and in MLflow if it refused"
        )
    raise RunFailed(f"{message}; the step's log tells more")
