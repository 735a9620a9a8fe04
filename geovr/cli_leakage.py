"""`geovr leakage`: what a training set shares with a benchmark."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geovr import cli_json
from geovr.cli_options import SetOption


def leakage(
    train: Annotated[
        str, typer.Argument(help="ClipSet, or directory of a training set (VSI-590K, VLM-3R).")
    ],
    benchmark: Annotated[str, typer.Argument(help="ClipSet, or directory of a benchmark.")],
    train_name: Annotated[
        str | None, typer.Option(help="Which data set TRAIN is, where no fetch recorded it.")
    ] = None,
    benchmark_name: Annotated[
        str | None, typer.Option(help="Which benchmark it is, where no fetch recorded it.")
    ] = None,
    most: Annotated[int, typer.Option(help="Show so many of each kind.", min=1)] = 20,
    overrides: SetOption = None,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Scenes, files and videos that are in a training set and in a benchmark; code 3 if any.

    --set changes when two videos count as one: bits, share, frames, allow.
    """
    cli_json.start(as_json)
    from geovr.config import apply_overrides, validate
    from geovr.errors import GateRefused
    from geovr.leakage.holdings import open_side
    from geovr.leakage.likeness import LikenessConfig
    from geovr.leakage.overlap import compare

    limits = validate(LikenessConfig, apply_overrides({}, overrides or []), source="--set")
    with cli_json.quiet_stdout(as_json):
        ours = open_side(train, "train", train_name)
        theirs = open_side(benchmark, "test", benchmark_name)
        found = compare(ours, theirs, limits)
    if as_json:
        told: dict[str, Any] = {"status": "done", "exit_code": 0}
        if found.any:
            told = {"status": "refused", "exit_code": GateRefused.exit_code}
        cli_json.tell(told | found.told())
        raise typer.Exit(int(told["exit_code"]))
    for line in found.lines(most):
        typer.echo(line)
    for what, (left, right) in found.compared.items():
        typer.echo(f"compared by {what}: {left} of {len(ours.clips)} with {right} of"
                   f" {len(theirs.clips)}")  # fmt: skip
    for note in found.notes:
        typer.echo(f"note: {note}")
    if found.any:
        raise GateRefused(f"{ours.title} and {theirs.title} share {found.summary}")
    typer.echo(f"{ours.title} and {theirs.title} share nothing that could be compared")
