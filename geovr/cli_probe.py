"""The command that reads a frozen model's states: `geovr probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json


def probe(
    models: Annotated[
        list[str],
        typer.Argument(
            help="NAME=MODEL, or MODEL alone: a checkpoint's directory or s3:// URI, the directory"
            " of a stock Qwen3-VL, or models:/NAME@ALIAS. The others are compared with the first."
        ),
    ],
    ground_truth: Annotated[
        str, typer.Option(help="Directory or s3:// prefix that `geovr simulate` wrote.")
    ],
    clips: Annotated[
        str, typer.Option(help="Directory or s3:// URI of the clips.")
    ] = "artifacts/clips",
    split: Annotated[str, typer.Option(help="Split of the clips.")] = "test",
    most_clips: Annotated[
        int, typer.Option(help="Most clips, evenly spread over the split's; 0: all.")
    ] = 0,
    folds: Annotated[int, typer.Option(help="Parts of the scenes, from 3 up.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the folds and of the bootstrap.")] = 0,
    layers: Annotated[
        str | None, typer.Option(help="Only these, such as 0,9,18; all if not given.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Directory for probe.json, table.md and probe.html.")
    ] = Path("probe"),
    as_json: cli_json.JsonOption = False,
) -> None:
    """How much depth, pose and scale a linear map reads out of frozen models, layer by layer."""
    cli_json.start(as_json)
    import json
    import sys

    from geovr.artifacts import ClipSet
    from geovr.config import validate
    from geovr.errors import UserError
    from geovr.probing.config import ProbeConfig, named
    from geovr.storage import write_atomic

    try:
        chosen = None if layers is None else [int(word) for word in layers.split(",")]
    except ValueError:
        raise UserError(f"--layers {layers}: write whole numbers, such as 0,9,18") from None
    config = validate(
        ProbeConfig,
        {"split": split, "most_clips": most_clips, "folds": folds, "seed": seed, "layers": chosen},
        source="geovr probe",
    )
    asked = named(models)

    from geovr.probing import table
    from geovr.probing.page import make_page
    from geovr.probing.probe import probe as run

    with cli_json.quiet_stdout(as_json):
        found = run(asked, ClipSet.load(clips), ground_truth, config)
    written = {
        output / "probe.json": found.model_dump_json(indent=1) + "\n",
        output / "table.md": table.markdown(found),
        output / "probe.html": make_page(found).decode(),
    }
    output.mkdir(parents=True, exist_ok=True)
    for path, text in written.items():
        write_atomic(path, text.encode())
    if as_json:
        files = {"written": [str(path) for path in written]}
        told = json.loads(found.model_dump_json())
        cli_json.tell({"status": "done", "exit_code": 0, **told, **files})
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table.scope(found), highlight=False)
    for block in table.blocks(found):
        console.print(table.render(block))
    console.print(table.LEGEND, highlight=False, style="dim")
    for path in written:
        typer.echo(f"written: {path}")
