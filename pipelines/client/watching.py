"""`python -m pipelines status` and `cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from geovr import cli_json
from pipelines.client import options as o

RunArgument = Annotated[str, typer.Argument(help="A run's id or name.")]


def status(
    run: Annotated[str | None, typer.Argument(help="A run's id or name. [default: all]")] = None,
    host: o.HostOption = None,
    namespace: o.NamespaceOption = None,
    ca_file: o.CaOption = None,
    experiment: o.ExperimentOption = o.EXPERIMENT,
    limit: Annotated[int, typer.Option(min=1, help="At most so many runs.")] = 20,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Show the newest runs and the schedules, or one run with its stages."""
    cli_json.start(as_json)
    from pipelines.client import show
    from pipelines.client.pinned import find_experiment
    from pipelines.client.runs import find, newest
    from pipelines.client.schedules import listed

    server = o.target(host, namespace, ca_file).server
    experiment_id = find_experiment(server, experiment)
    if run is not None:
        found = find(server, run, experiment_id)
        if as_json:
            cli_json.tell({"status": "done", "run": show.run_values(found, stages=True)})
        else:
            show.print_run(found)
        return
    runs = newest(server, experiment_id, limit) if experiment_id else []
    schedules = listed(server, experiment_id) if experiment_id else []
    if as_json:
        cli_json.tell({
            "status": "done",
            "runs": [show.run_values(one, stages=False) for one in runs],
            "schedules": [show.schedule_values(one) for one in schedules],
        })  # fmt: skip
    elif not runs and not schedules:
        typer.echo(f"no runs and no schedules in experiment {experiment}")
    else:
        show.print_runs(runs)
        if schedules:
            show.print_schedules(schedules)


def cancel(
    run: RunArgument,
    host: o.HostOption = None,
    namespace: o.NamespaceOption = None,
    ca_file: o.CaOption = None,
    experiment: o.ExperimentOption = o.EXPERIMENT,
    wait: Annotated[bool, typer.Option(help="Until its pods have ended.")] = False,
    as_json: cli_json.JsonOption = False,
) -> None:
    """End a run. One that has ended already is left as it is."""
    cli_json.start(as_json)
    from pipelines.client import following, runs, show
    from pipelines.client.pinned import find_experiment

    server = o.target(host, namespace, ca_file).server
    found = runs.find(server, run, find_experiment(server, experiment))
    was = show.state(found)
    done = runs.cancel(server, found)
    what = "is being cancelled" if done else f"was {was} already"
    typer.echo(f"run {found.display_name} ({found.run_id}) {what}", err=as_json)
    if wait:
        found = runs.wait(server, found.run_id, following.POLL_S, lambda _: None)
        typer.echo(f"run {found.display_name} ({found.run_id}) {show.state(found)}", err=as_json)
    if as_json:
        values = {"status": "done", "cancelled": done}
        cli_json.tell({**values, "run": show.run_values(found, stages=False)})
