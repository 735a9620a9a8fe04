"""`python -m pipelines compile | run --local | submit | schedule | status | cancel`."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import ParamsOption, SetOption, outcome, stopped
from geovr.errors import UserError
from geovr.progress import StderrHandler
from pipelines.client.scheduling import schedule
from pipelines.client.submitting import submit
from pipelines.client.watching import cancel, status
from pipelines.images import read_images, stage_parameters

app = typer.Typer(
    name="python -m pipelines",
    help="The Kubeflow pipeline: compile it, run it here or on a cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("compile")
def compile_pipeline(
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("pipeline.yaml"),
    images: Annotated[
        Path | None, typer.Option(help="JSON file: stage or `default` -> image by digest.")
    ] = None,
    fixed_data: Annotated[
        bool, typer.Option(help="Data comes by DVC revision, so ingest may be cached.")
    ] = False,
) -> None:
    """Write the pipeline as Kubeflow's YAML."""
    from kfp import compiler

    from pipelines.training import make_pipeline

    pipeline = make_pipeline(read_images(images), fixed_data=fixed_data)
    output.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(output))
    typer.echo(f"wrote {output}")


@app.command("run")
def run_pipeline(
    local: Annotated[bool, typer.Option("--local", help="On this machine.")] = False,
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
    root: Annotated[Path, typer.Option(help="Where the runner keeps what stages hand on.")] = Path(
        ".geovr/kfp"
    ),
) -> None:
    """Run the whole pipeline and show its result."""
    from geovr.planning.recipes import find_recipe

    if not local:
        raise UserError("give --local; `python -m pipelines submit` runs it on a cluster")
    parameters = stage_parameters(find_recipe(str(params)), overrides or [], {})
    from pipelines.local import run_local

    run_local(parameters, root)


app.command()(submit)
app.command()(schedule)
app.command()(status)
app.command()(cancel)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    signal.signal(signal.SIGTERM, stopped)
    sys.exit(outcome(app))
