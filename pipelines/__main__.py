"""`python -m pipelines compile | run | submit | schedule | status | cancel | reproduce`."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import outcome, stopped
from geovr.cli_options import ParamsOption, SetOption
from geovr.errors import UserError
from geovr.progress import StderrHandler
from pipelines.client.scheduling import schedule
from pipelines.client.submitting import submit
from pipelines.client.watching import cancel, status
from pipelines.cluster import read_cluster
from pipelines.compiling import Resources
from pipelines.images import read_images, stage_parameters
from pipelines.reproduce import reproduce

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
        Path | None, typer.Option(help="JSON file: step or `default` -> image by digest.")
    ] = None,
    fixed_data: Annotated[
        bool,
        typer.Option(help="Data comes by DVC revision, without a window: ingest may be cached."),
    ] = False,
    cluster: Annotated[
        Path | None, typer.Option(help="YAML file: what the pods get on a cluster.")
    ] = None,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="As resources for Kubeflow's Kubernetes-native mode.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option(help="Of those resources; kubectl's own when not given.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Name of the version; by default it tells the content.")
    ] = None,
) -> None:
    """Write the pipeline as Kubeflow's YAML."""
    from pipelines.compiling import write

    if not manifest and (namespace or version):
        raise UserError("--namespace and --version name the resources of --manifest; give that too")
    write(
        output,
        read_images(images),
        cluster=None if cluster is None else read_cluster(cluster),
        fixed_data=fixed_data,
        resources=Resources(namespace, version) if manifest else None,
    )
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

    if local == docker:
        raise UserError(
            "give --local or --docker; `python -m pipelines submit` runs it on a cluster"
        )
    # every section is read before anything runs, so that a typing error costs no stage
    parameters = stage_parameters(find_recipe(str(params)), overrides or [], {})
    from pipelines.docker import Containers, built_image, find_image
    from pipelines.local import run_local

    containers = None
    if docker:
        name = find_image(image or built_image())
        containers = Containers(name, network, user, memory_gb)
    run_local(parameters, root, containers)


app.command()(submit)
app.command()(schedule)
app.command()(status)
app.command()(cancel)
app.command()(reproduce)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    signal.signal(signal.SIGTERM, stopped)
    sys.exit(outcome(app))
