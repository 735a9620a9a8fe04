"""The commands that tell before anything is spent: `geovr plan` and `geovr recipes`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geovr import cli_json


def plan(
    recipe: Annotated[str, typer.Option(help="Recipe or parameter file.")] = "params.yaml",
    clips: Annotated[
        str | None, typer.Option(help="ClipSet to count, instead of the assumptions below.")
    ] = None,
    num_clips: Annotated[int, typer.Option(help="Training clips.")] = 5_963,
    questions: Annotated[int, typer.Option(help="Training questions.")] = 579_000,
    seconds: Annotated[float, typer.Option(help="Length of a video.")] = 60.0,
    size: Annotated[str, typer.Option(help="Width x height of a video.")] = "640x480",
    peak_tflops: Annotated[
        float, typer.Option(help="Of the GPU, dense bf16; an H100's if not given.")
    ] = 989.0,
    mfu: Annotated[float, typer.Option(help="Share of the peak that training reaches.")] = 0.4,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Clips, tokens, parameters, teacher calls, bytes and GPU hours of a run, computed."""
    cli_json.start(as_json)
    from geovr.artifacts import ClipSet
    from geovr.config import validate
    from geovr.errors import UserError
    from geovr.planning.plan import DataOptions, make_plan
    from geovr.planning.recipes import find_recipe

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UserError(f"--size {size}: write it as WIDTHxHEIGHT, e.g. 640x480")
    values: dict[str, Any] = {
        "clips": num_clips, "questions": questions, "seconds": seconds, "width": int(width),
        "height": int(height),
    }  # fmt: skip
    told = make_plan(
        find_recipe(recipe),
        clips=ClipSet.load(clips) if clips else None,
        options=validate(DataOptions, values, source="geovr plan"),
        peak_tflops=peak_tflops,
        mfu=mfu,
    )
    if as_json:
        cli_json.tell(told)
        return
    for section, rows in told.items():
        typer.echo(section)
        for name, value in rows.items():
            typer.echo(f"  {name:40} {f'{value:,}' if isinstance(value, (int, float)) else value}")


def recipes(as_json: cli_json.JsonOption = False) -> None:
    """List the recipes: the paper's runs, with the scores that it prints."""
    from geovr.planning.recipes import recipes as known
    from geovr.planning.recipes import summary

    if as_json:
        cli_json.tell({name: summary(path) for name, path in known().items()})
        return
    for name, path in known().items():
        typer.echo(f"{name:28} {summary(path)}")
