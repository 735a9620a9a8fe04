"""The commands of studies: `geovr study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json

study = typer.Typer(
    help="Train arms that differ in a few parameters with the same seeds, and compare them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@study.callback()
def callback() -> None:
    """Train arms that differ in a few parameters with the same seeds, and compare them."""


@study.command("report")
def report(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A study's directory; or its name: artifacts/study/<name>."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Directory to write to. [default: the study's]")
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Put numbers and files on the study's MLflow run, too.")
    ] = False,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Compare a study's arms: table, learning curves and page, of the runs that are done."""
    cli_json.start(as_json)
    import json
    import sys

    from geovr.study.page import write_report
    from geovr.study.results import find_study, load_results
    from geovr.study.summary import summarise
    from geovr.study.table import grids, notes, render
    from geovr.study.tracked import log_study, metrics, parent_of

    root = find_study(directory)
    parent = parent_of(root) if log else None
    results = load_results(root)
    summary = summarise(results, root)
    files = write_report(results, summary, output or root)
    if parent is not None:
        log_study(parent, files, metrics(summary))
    if as_json:
        told = {"status": "done", "exit_code": 0, "files": [str(path) for path in files]}
        cli_json.tell(told | json.loads(summary.model_dump_json()))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 150)
    for grid in grids(summary):
        console.print(render(grid))
    for note in notes(summary):
        typer.echo(f"note: {note}")
    for path in files:
        typer.echo(f"written: {path}")
