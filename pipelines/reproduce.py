"""`python -m pipelines reproduce`: what a recorded run was, and the same again."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geovr.errors import GateRefused, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.recorded import Recorded
    from pipelines.reproduction import Compared, Reproduction

DIRECTORY = Path(".geovr/reproduce")


def reproduce(
    run: Annotated[
        str,
        typer.Argument(
            help="Model version (geovr/3), MLflow run's id, directory of what register, evaluate or"
            " train wrote, or its digest."
        ),
    ],
    store: Annotated[
        str, typer.Option(help="Store with the run's records, where RUN doesn't tell it.")
    ] = ".geovr/store",
    into: Annotated[
        str | None,
        typer.Option(help="Store to compute into. [default: a fresh one in the directory]"),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help=f"Of the reproduction. [default: {DIRECTORY}/ID]")
    ] = None,
    start: Annotated[bool, typer.Option("--run", help="Run it, and compare.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare what was run before, and run nothing.")
    ] = False,
    allow_different_code: Annotated[
        bool, typer.Option("--allow-different-code", help="Run though the code is not the run's.")
    ] = False,
) -> None:
    """Show the command that repeats a recorded run, or run it and compare what comes out."""
    from rich.console import Console

    from pipelines import reproduction
    from pipelines.recorded import find_run

    found = find_run(run, store)
    again = reproduction.prepare(found, directory or DIRECTORY / found.digest[:12], into)
    console = Console(width=None if sys.stdout.isatty() else 150, soft_wrap=True)
    _show(console, found, again)
    code = reproduction.other_code(found, again.images)
    for note in [*found.notes, *code, *reproduction.other_surroundings(found, again.images)]:
        typer.echo(f"warning: {note}", err=True)
    if compare:
        _judge(console, found, reproduction.compare(found, again.store))
    elif start:
        if code and not allow_different_code:
            raise UserError(
                f"{run}: nothing was run, since the code is not the run's:\n"
                + "".join(f"  {line}\n" for line in code)
                + "or give --allow-different-code"
            )
        _run(console, found, again)


def _show(console: Console, run: Recorded, again: Reproduction) -> None:
    """What the run was, and the command."""
    from rich.table import Table

    from geovr.stages import STAGES
    from pipelines.reproduction import config_digest

    table = Table(title=f"{run.name}: Checkpoint {run.digest}")
    for heading in ("stage", "began (UTC)", "config", "made", "processes", "code", "image"):
        table.add_column(heading, no_wrap=True)
    for stage in STAGES:
        record = run.steps.get(stage.name)
        if record is None:
            table.add_row(stage.name, "no record")
            continue
        manifest, around = record.manifest, record.surroundings
        commit, _, dirty = manifest.git_sha.partition("-")
        table.add_row(
            stage.name,
            f"{record.began:%Y-%m-%d %H:%M:%S}",
            config_digest(run, stage.name)[:12],
            manifest.content_digest[:12],
            str(around.processes) if around else "?",
            f"{commit[:12]}-{dirty}" if dirty else commit[:12],
            (around.image or "not in an image") if around else "not recorded",
        )
    console.print(table)
    data = ", ".join(f"{name} {value}" for name, value in run.data.items() if value)
    clips = run.steps["ingest"].manifest
    console.print(f"data: {data or 'not by DVC'}; ClipSet {clips.content_digest}")
    seeds = [
        f"{stage} {run.steps[stage].manifest.config['seed']}"
        for stage in ("train", "evaluate")
        if stage in run.steps
    ]
    console.print(f"seeds: {', '.join(seeds)}")
    around = run.steps["train"].surroundings
    if around is not None:
        versions = ", ".join(f"{name} {version}" for name, version in around.packages.items())
        console.print(f"training: Python {around.python}, {versions}, {around.machine}")
    console.print(
        f"parameters: {again.directory / 'params.yaml'}; relative paths are taken from here. It"
        f" computes into {again.store}"
        + (f" and logs to {again.directory / 'mlflow.db'}" if again.waits else "")
        + "; its model's and experiment's names end in -reproduced: nothing of the run, and no"
        " champion, is changed."
    )
    console.print("command:")
    variables = [f"{name}={value}" for name, value in again.variables.items()]
    told = shlex.join((*variables, "python", "-m", "pipelines", *again.command))
    console.print(f"  {told}", markup=False, highlight=False)


def _run(console: Console, run: Recorded, again: Reproduction) -> None:
    """Run the command, and compare.

    Raises:
        UserError: when the store holds a run that is done.
        GateRefused: when something else came out.
    """
    from pipelines import reproduction

    if "register" in reproduction.newest(again.store):
        raise UserError(
            f"{again.store}: holds a whole run already, so nothing would be computed again; delete"
            f" {again.directory}, or give --directory or --into; --compare compares it"
        )
    command = [sys.executable, "-m", "pipelines", *again.command]
    ended = subprocess.run(command, env=os.environ | again.variables, check=False)
    if not again.waits:
        console.print("when it is done: the same command with --compare in place of --run")
    else:
        rows = reproduction.compare(run, again.store)
        if ended.returncode == 0:
            _judge(console, run, rows)
        else:
            _table(console, rows)
    if ended.returncode != 0:
        raise typer.Exit(ended.returncode)


def _judge(console: Console, run: Recorded, rows: list[Compared]) -> None:
    _table(console, rows)
    different = [row.stage for row in rows if row.different]
    if different:
        raise GateRefused(
            f"{run.name}: not reproduced: {', '.join(different)} made something else; the first of"
            " them is where to look"
        )
    lacking = [row.stage for row in rows if row.told == "not run"]
    if lacking:
        raise UserError(
            f"{run.name}: {', '.join(lacking)} left no record there: not run to its end"
        )
    console.print("reproduced: every digest that was compared is equal")


def _table(console: Console, rows: list[Compared]) -> None:
    from rich.table import Table

    table = Table(title="Recorded, and again")
    for heading in ("stage", "recorded", "again", ""):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(row.stage, (row.then or "")[:32], (row.now or "")[:32], row.told)
    console.print(table)
