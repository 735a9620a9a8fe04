"""`python -m infra.local up | status | down`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import outcome
from infra.local import servers
from infra.local.processes import LOOPBACK

app = typer.Typer(
    help="PostgreSQL, S3 and an MLflow server on the loopback, for trying the real thing.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Directory = Annotated[Path, typer.Option(help="Where their data, logs and credentials lie.")]


@app.command()
def up(
    directory: Directory = servers.DIRECTORY,
    address: Annotated[
        str, typer.Option(help="Where S3 and MLflow listen, as the gateway of Docker's network.")
    ] = LOOPBACK,
) -> None:
    """Start what isn't running, and say how to use it."""
    made = servers.up(directory, address)
    typer.echo(made.describe())
    typer.echo(f"use them:  source {directory / 'env.sh'}    # MLFLOW_TRACKING_URI and AWS_*")
    typer.echo("           geovr train --set store=s3://geovr/store")


@app.command()
def status(directory: Directory = servers.DIRECTORY) -> None:
    """Say what runs; exits with 1 unless all of it does."""
    found = servers.running(directory)
    typer.echo(found.describe() if found else f"{directory}: not running, or not all of it")
    if found is None:
        raise typer.Exit(1)


@app.command()
def down(
    directory: Directory = servers.DIRECTORY,
    delete: Annotated[bool, typer.Option("--delete", help="Their data too.")] = False,
) -> None:
    """Stop them; their data stay unless --delete is given."""
    stopped = servers.down(directory, delete=delete)
    typer.echo(f"stopped: {', '.join(stopped) or 'nothing was running'}")


if __name__ == "__main__":
    sys.exit(outcome(app))
