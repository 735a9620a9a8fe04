"""`python -m infra.docker up | base | build | push | images | verify | down`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import outcome
from infra.docker import engine, record, registry, sbom
from infra.docker.base import make_base, require_pinned
from infra.docker.build import TARGETS, build, image_id, image_name

app = typer.Typer(
    help="The pipeline's images: built, listed, pushed, verified.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Directory = Annotated[Path, typer.Option(help="Of the engine and registry, where we start one.")]
Output = Annotated[Path, typer.Option(help="Where images.json and the lists of contents go.")]
Targets = Annotated[list[str] | None, typer.Argument(help="cpu, gpu, teacher; all by default.")]
Base = Annotated[
    str | None, typer.Option(help="Image to build on, by digest; made by debootstrap without one.")
]
RegistryOption = Annotated[
    str | None, typer.Option("--registry", help="Where to push; one on the loopback without one.")
]


@app.command()
def up(directory: Directory = engine.DIRECTORY) -> None:
    """Start an engine, unless one answers, and say how to use it."""
    made = engine.up(directory)
    typer.echo(made.describe())
    typer.echo(f"use it:  export DOCKER_HOST={made.host}")


@app.command()
def base(directory: Directory = engine.DIRECTORY) -> None:
    """Make the base image by debootstrap, and say its name."""
    typer.echo(make_base(engine.up(directory), directory))


@app.command("build")
def build_images(
    targets: Targets = None,
    base: Base = None,
    directory: Directory = engine.DIRECTORY,
    output: Output = record.DIRECTORY,
) -> None:
    """Build images, and write what is in each."""
    _build(engine.up(directory), targets, base, directory, output)


@app.command()
def push(
    targets: Targets = None,
    to: RegistryOption = None,
    directory: Directory = engine.DIRECTORY,
    output: Output = record.DIRECTORY,
) -> None:
    """Push what was built, and write images.json with the digests."""
    _push(engine.up(directory), targets, to, directory, output)


@app.command()
def images(
    targets: Targets = None,
    base: Base = None,
    to: RegistryOption = None,
    directory: Directory = engine.DIRECTORY,
    output: Output = record.DIRECTORY,
) -> None:
    """Build, and push."""
    made = engine.up(directory)
    _build(made, targets, base, directory, output)
    _push(made, targets, to, directory, output)
    typer.echo(f"{made.describe()}; export DOCKER_HOST={made.host}")


@app.command()
def verify(
    images: Annotated[Path, typer.Option(help="File that compile --images takes.")] = Path(
        "build/images/images.json"
    ),
    directory: Directory = engine.DIRECTORY,
) -> None:
    """Say that every image is in its registry and is what its key says, or refuse it by name."""
    for line in record.verify(engine.up(directory), images):
        typer.echo(line)


@app.command()
def down(
    directory: Directory = engine.DIRECTORY,
    delete: Annotated[bool, typer.Option("--delete", help="Their images too.")] = False,
) -> None:
    """Stop the engine and registry that were started here; images stay unless --delete."""
    stopped = {
        "docker-registry": registry.down(directory, delete=delete),
        "dockerd": engine.down(directory, delete=delete),
    }
    names = [name for name, ran in stopped.items() if ran]
    typer.echo(f"stopped: {', '.join(names) or 'nothing was running'}")


def _build(
    on: engine.Engine, targets: list[str] | None, base: str | None, directory: Path, output: Path
) -> None:
    from geovr.artifacts import git_sha

    base = require_pinned(base) if base else make_base(on, directory)
    ids = {}
    for target in targets or TARGETS:
        name = build(on, target, base)
        ids[name] = image_id(on, name)
        bill = sbom.write(on, target, name, git_sha(), output / f"{target}.cdx.json")
        typer.echo(f"{name}: {ids[name]}; {bill}")
    record.write_built(output, ids)


def _push(
    on: engine.Engine, targets: list[str] | None, to: str | None, directory: Path, output: Path
) -> None:
    from geovr.artifacts import git_sha

    address = to or registry.up(directory).address
    pushed = {}
    for target in targets or TARGETS:
        name = image_name(target, git_sha())
        record.require_as_built(on, output, name)
        pushed[target] = registry.push(on, name, address)
    typer.echo(f"wrote {record.write_images(output, pushed)}")


if __name__ == "__main__":
    sys.exit(outcome(app))
