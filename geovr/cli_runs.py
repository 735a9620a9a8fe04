"""The commands that look at tracked runs: `geovr runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from geovr import cli_json

if TYPE_CHECKING:
    from collections.abc import Sequence

runs = typer.Typer(
    help="List and compare the runs that MLflow knows, and the versions made of them.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
RUN = "A run's id, its first letters, or its name."
ExperimentOption = Annotated[
    str | None,
    typer.Option(help="Its name; those below it, such as geovr/eval/.., too. [default: all]"),
]
LimitOption = Annotated[int, typer.Option(min=1, help="At most so many.")]
SortOption = Annotated[
    str | None,
    typer.Option(help="Metric, highest first, such as eval/mean. [default: newest first]"),
]


@runs.callback()
def callback(
    context: typer.Context,
    experiment: ExperimentOption = None,
    limit: LimitOption = 20,
    sort: SortOption = None,
    as_json: cli_json.JsonOption = False,
) -> None:
    """List and compare the runs that MLflow knows, and the versions made of them."""
    if context.invoked_subcommand is None:
        list_(experiment, limit, sort, as_json)


@runs.command("list")
def list_(
    experiment: ExperimentOption = None,
    limit: LimitOption = 20,
    sort: SortOption = None,
    as_json: cli_json.JsonOption = False,
) -> None:
    """List runs with their scores, and the versions made of them."""
    cli_json.start(as_json)
    from geovr.runs_table import metric
    from geovr.tracking_runs import Runs

    found = Runs().listed(experiment, limit, sort)
    if as_json:
        _tell({"runs": [run.told() for run in found]})
        return
    shown = {"mean [95 %]": "eval/mean", "loss": "loss"}
    if sort is not None and sort not in shown.values():
        shown = {sort: sort, **shown}
    rows = [
        [
            run.id[:8], run.name, run.experiment, run.status, f"{run.began:%Y-%m-%d %H:%M}",
            *(metric(run.metrics, name) for name in shown.values()), ", ".join(run.versions),
        ]
        for run in found
    ]  # fmt: skip
    _print(["run", "name", "experiment", "status", "began (UTC)", *shown, "versions"], rows)


@runs.command("show")
def show(
    run: Annotated[str, typer.Argument(help=RUN)], as_json: cli_json.JsonOption = False
) -> None:
    """Show one run: parameters, metrics with intervals, data, and the versions made of it."""
    cli_json.start(as_json)
    from geovr.runs_table import sections
    from geovr.tracking_runs import Runs

    found = Runs().one(run)
    if as_json:
        _tell({"run": found.told()})
        return
    for title, rows in sections([found], all_params=True):
        _print([title, found.id[:8]], rows)


@runs.command("compare")
def compare(
    run: Annotated[list[str], typer.Argument(help=f"Two or more. {RUN}")],
    as_json: cli_json.JsonOption = False,
) -> None:
    """Compare runs: parameters that differ, metrics side by side, data, versions."""
    cli_json.start(as_json)
    from geovr.errors import UserError
    from geovr.runs_table import differing, sections
    from geovr.tracking_runs import Runs

    known = Runs()
    found = [known.one(reference) for reference in run]
    if len(found) < 2:
        raise UserError("geovr runs compare: give two runs or more; `geovr runs` lists them")
    if as_json:
        _tell({"runs": [one.told() for one in found], "params": differing(found)})
        return
    for title, rows in sections(found, all_params=False):
        _print([title, *(one.id[:8] for one in found)], rows)


@runs.command("sweep")
def sweep(
    name: Annotated[str, typer.Argument(help="Of the sweep.")],
    experiment: Annotated[str, typer.Option(help="That its trainings are logged to.")] = "geovr",
) -> None:
    """Make a run below which MLflow shows a sweep's trainings, and print its id, for
    GEOVR_PARENT_RUN or train.parent_run; the same name gives the same run.
    """
    from geovr.tracking_runs import start_sweep

    typer.echo(start_sweep(experiment, name))


def _tell(values: dict[str, Any]) -> None:
    cli_json.tell({"status": "done", "exit_code": 0, **values})


def _print(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 150).print(table)
