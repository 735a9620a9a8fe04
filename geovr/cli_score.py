"""`geovr score`: scores of saved answers, by one upstream's rules or all of them side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json


def score(
    predictions: Annotated[
        str,
        typer.Argument(
            help="File of answers (.jsonl), or directory or s3:// URI of what evaluate wrote."
        ),
    ],
    profile: Annotated[
        str, typer.Option(help="Whose scorer: official, strict .., or all of the benchmark's.")
    ] = "official",
    benchmark: Annotated[
        str | None, typer.Option(help="Whose questions these are, where the file doesn't say.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The benchmark's directory, to compare the ids with.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score what is there, though answers are missing.")
    ] = False,
    list_unparsed: Annotated[
        bool, typer.Option("--list-unparsed", help="List the answers in which nothing was read.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Also write the scores as JSON.")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Score saved answers as a benchmark's own code does; exits 3 unless each question is answered
    exactly once. Nothing is asked again, and the file stays as it is.
    """
    import json
    from dataclasses import asdict

    from geovr.evaluation.scoring import score as run
    from geovr.storage import write_atomic

    cli_json.start(as_json)
    scored = run(
        predictions,
        profile=profile,
        benchmark=benchmark,
        reference=reference,
        partial=partial,
        resamples=resamples,
        seed=seed,
    )
    told = asdict(scored)
    if output is not None:
        write_atomic(output, (json.dumps(told, indent=1) + "\n").encode())
    if as_json:
        cli_json.tell({"status": "done", "exit_code": 0, **told})
        return
    from rich.console import Console

    from geovr.evaluation.scoring_table import footnotes, render, unparsed_lines

    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(render(scored))
    for line in footnotes(scored):
        typer.echo(f"note: {line}")
    if list_unparsed:
        for line in unparsed_lines(scored):
            typer.echo(line)
    elif any(one.unparsed for one in scored.profiles.values()):
        typer.echo("--list-unparsed names the answers in which nothing was read")
    if output is not None:
        typer.echo(f"written: {output}")
