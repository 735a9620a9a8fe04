"""`geovr study`: run a study's arms and seeds, and tell what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json

study = typer.Typer(
    help="Studies: arms times seeds through train and evaluate, and what they show.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
StudyArgument = Annotated[str, typer.Argument(help="Name of a shipped study, or a study's file.")]
DirectoryOption = Annotated[
    Path | None, typer.Option("--output", help="Its directory. [default: artifacts/study/NAME]")
]


@study.command("list")
def list_studies() -> None:
    """Studies that come with the repository."""
    from geovr.study.config import STUDIES, load_study

    for path in sorted(STUDIES.glob("*.yaml")):
        if path.stem != "base":
            found = load_study(str(path))
            runs = len(found.arms) * len(found.seeds)
            typer.echo(f"{found.name:12} {runs:3} runs  {found.about}")


@study.command("run")
def run(
    name: StudyArgument,
    output: DirectoryOption = None,
    jobs: Annotated[
        int, typer.Option(help="Runs at a time; 0: one a core, as memory allows; on a GPU up to 4.")
    ] = 0,
    arms: Annotated[str | None, typer.Option(help="Only these, e.g. text,all.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Instead of the study's, e.g. 1,2; others that are done stay in it."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="For all arms, whatever they set; e.g. train.steps=200."),
    ] = None,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Train and evaluate every arm with every seed; the same command goes on after a stop.

    What is done stands while parameters, clips and targets are the same, whatever the code is now:
    to measure other code, give another --output and --set store=.
    """
    cli_json.start(as_json)
    from geovr.study.config import load_study, with_changes
    from geovr.study.results import STUDY_ROOT
    from geovr.study.run import run_study

    found = with_changes(load_study(name), overrides or [], _seeds(seeds))
    root = output or STUDY_ROOT / found.name
    with cli_json.quiet_stdout(as_json):
        counts = run_study(found, root, jobs=jobs, arms=tuple(_words(arms)))
    if as_json:
        cli_json.tell({"status": "done", "exit_code": 0, "output": str(root), **counts})
    else:
        typer.echo(f"{root}: {counts['done']} runs done, {counts['kept']} were done before")


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
    reference: Annotated[
        str | None, typer.Option(help="Arm to compare with, instead of the study's.")
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

    from geovr.errors import UserError
    from geovr.study.page import write_report
    from geovr.study.results import find_study, load_results
    from geovr.study.summary import summarise
    from geovr.study.table import grids, notes, render
    from geovr.study.tracked import log_study, metrics, parent_of

    if log and reference is not None:
        raise UserError(
            "--log: the study's MLflow run holds differences to the study's own reference; leave"
            " out --log or --reference"
        )
    root = find_study(directory)
    parent = parent_of(root) if log else None
    results = load_results(root, reference)
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


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _seeds(text: str | None) -> tuple[int, ...]:
    from geovr.errors import UserError

    words = _words(text)
    if not all(word.isdecimal() for word in words):
        raise UserError(f"--seeds {text}: write whole numbers with commas between, e.g. 1,2,3")
    return tuple(map(int, words))
