"""`python -m pipelines compile | run --local | run --docker`."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import ParamsOption, SetOption, outcome, stopped
from geovr.errors import UserError
from geovr.progress import StderrHandler

app = typer.Typer(
    name="python -m pipelines",
    help="The Kubeflow pipeline: compile it, or run it on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def read_images(path: Path | None) -> dict[str, str]:
    """Stage name (or `default`) -> image, from a JSON file; every image by its digest."""
    if path is None:
        return {}
    try:
        images = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"--images {path}: {error}; it is JSON, stage or `default` -> image"
        ) from None
    for name, image in images.items():
        if "@sha256:" not in str(image):
            raise UserError(f"{path}: {name}: {image} is no digest; name images by @sha256:")
    return {str(name): str(image) for name, image in images.items()}


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
    local: Annotated[bool, typer.Option("--local", help="In processes here.")] = False,
    docker: Annotated[bool, typer.Option("--docker", help="In containers here.")] = False,
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
    root: Annotated[Path, typer.Option(help="Where the runner keeps what stages hand on.")] = Path(
        ".geovr/kfp"
    ),
    image: Annotated[
        str | None, typer.Option(help="--docker: image; the one that make images built by default.")
    ] = None,
    network: Annotated[
        str, typer.Option(help="--docker: Docker's network; none reaches nothing.")
    ] = "none",
    user: Annotated[
        str | None, typer.Option(help="--docker: UID:GID; yours by default, and never root.")
    ] = None,
    memory_gb: Annotated[int, typer.Option(min=1, help="--docker: memory of a stage.")] = 16,
) -> None:
    """Run the whole pipeline and show its result."""
    from geovr.planning.recipes import find_recipe
    from geovr.stages import STAGES
    from geovr.stages.run import stage_config

    if local == docker:
        raise UserError("give --local or --docker; submitting to a cluster is not in this version")
    # every section is read before anything runs, so that a typing error costs no stage
    params = find_recipe(str(params))
    parameters = {
        stage.name: stage_config(stage, params, overrides or []).model_dump_json()
        for stage in STAGES
    }
    from pipelines.docker import Containers, built_image, find_image
    from pipelines.local import run_local

    containers = None
    if docker:
        name = find_image(image or built_image())
        containers = Containers(name, network, user, memory_gb)
    run_local(parameters, root, containers)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    signal.signal(signal.SIGTERM, stopped)
    sys.exit(outcome(app))
