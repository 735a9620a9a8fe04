"""The command that compares answers: `geovr compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json

_SIDES = (
    "A predictions .jsonl, the directory or s3:// URI of what evaluate or register wrote, an MLflow"
    " run's id, or models:/NAME@ALIAS."
)


def compare(
    a: Annotated[str, typer.Argument(help=_SIDES)],
    b: Annotated[str | None, typer.Argument(help="What A is compared with; as A.")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Instead of B, a baseline of A: blanked, shuffled, most_frequent or best_constant."
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            help="Scorer: auto is the benchmark's official one, and the flow's own rule for other"
            " questions; flow is that rule for all; or a profile of the benchmark, such as strict."
        ),
    ] = "auto",
    by: Annotated[
        str, typer.Option(help="Lines: kind as reported, type as the file has it, or none.")
    ] = "kind",
    common: Annotated[
        bool,
        typer.Option(
            "--common", help="Compare what both answered, though questions or protocols differ."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write a forest plot (.png) or the numbers (.json).")
    ] = None,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Compare two models' answers to the same questions: per kind and overall, paired, with
    intervals and tests clustered by scene.
    """
    cli_json.start(as_json)
    import json
    import sys
    import tempfile
    from typing import get_args

    from geovr.comparing import compare as comparing
    from geovr.comparing.sources import baseline_of, side_of
    from geovr.comparing.table import render
    from geovr.errors import UserError

    if (b is None) == (against is None):
        raise UserError("geovr compare: give B, or --against a baseline, one of the two")
    if by not in get_args(comparing.By):
        raise UserError(f"--by {by}: choose one of {', '.join(get_args(comparing.By))}")
    if output is not None and output.suffix not in (".png", ".json"):
        raise UserError(f"--output {output}: end it with .png for a plot or .json for numbers")
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        one = side_of(a, Path(scratch) / "a")
        if b is not None:
            other = side_of(b, Path(scratch) / "b")
        else:
            other, notes = baseline_of(one, str(against), Path(scratch) / "b")
    found = comparing.compare(one, other, profile=profile, by=by, common=common)  # type: ignore[arg-type]
    found.notes.extend(notes)
    told = {"status": "done", "exit_code": 0, **found.told()}
    if output is not None:
        from geovr.inspection.pictures import draw_forest, save
        from geovr.storage import write_atomic

        if output.suffix == ".png":
            lines = [(x.kind, x.items, x.difference, x.verdict) for x in found.lines]
            save(draw_forest(lines, f"A: {found.a}\nB: {found.b}"), output)
        else:
            write_atomic(output, (json.dumps(told, indent=1) + "\n").encode())
    if as_json:
        cli_json.tell(told)
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 150).print(render(found))
    for note in found.notes:
        typer.echo(f"note: {note}")
    if output is not None:
        typer.echo(f"written: {output}")
