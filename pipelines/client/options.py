"""What the commands are told: about the server, and about what to send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from geovr.errors import UserError
from geovr.storage import is_s3
from pipelines.client.compiled import Compiled, compiled
from pipelines.client.dry import Recorder, dry_server
from pipelines.client.server import Address, Server, connect

HostOption = Annotated[
    str | None,
    typer.Option(
        envvar="KFP_ENDPOINT",
        help="KFP's API, such as http://ml-pipeline.kubeflow:8888 in the cluster. A token comes"
        " from KFP_TOKEN, the file KFP_TOKEN_FILE, or a pod's own.",
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(envvar="KFP_NAMESPACE", help="Yours, where KFP serves many users."),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca-file", envvar="KFP_CA_FILE", help="The server's certificate authority."),
]
ExperimentOption = Annotated[str, typer.Option(help="KFP's experiment; made when it is missing.")]
ImagesOption = Annotated[
    Path | None, typer.Option(help="JSON file: step or `default` -> image by digest.")
]
ClusterOption = Annotated[Path | None, typer.Option(help="YAML file with the cluster's settings.")]
AccountOption = Annotated[str, typer.Option(help="Kubernetes service account of the run's pods.")]
RootOption = Annotated[
    str | None, typer.Option(help="Where KFP keeps what steps hand on. [default: the server's]")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the requests; no server is needed.")
]
ACCOUNT = "geovr-pipeline"
EXPERIMENT = "geovr"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Target:
    """Where requests go: a server, or with `--dry-run` a recorder in its place."""

    server: Server
    recorder: Recorder | None = None


def target(
    host: str | None, namespace: str | None, ca_file: Path | None, *, dry_run: bool = False
) -> Target:
    """The server that the options name.

    Raises:
        UserError: when they name none.
    """
    if dry_run:
        return Target(*dry_server(namespace))
    if not host:
        raise UserError(
            "no server: give --host or set KFP_ENDPOINT; from outside of the cluster, `kubectl"
            " port-forward -n kubeflow svc/ml-pipeline 8888` and http://localhost:8888"
        )
    return Target(connect(Address(host, namespace, ca_file)))


def check_name(name: str) -> str:
    """A name for a run or a schedule.

    Raises:
        UserError: when KFP's filters would not find it again.
    """
    if _NAME.fullmatch(name) is None:
        raise UserError(
            f"--name {name}: use letters, digits, dots, dashes and underscores, at most 100"
        )
    return name


def read_cluster(path: Path | None) -> Any:
    """The cluster's settings, None when no file is given."""
    if path is None:
        return None
    from pipelines.cluster import read_cluster as read

    return read(path)


def make(
    parameters: dict[str, str], images: Path | None, cluster: Path | None, *, dry_run: bool
) -> Compiled:
    """What is sent, compiled.

    Raises:
        UserError: when stages have no image or no common store; a dry run only says so.
    """
    from pipelines.images import read_images

    made = compiled(parameters, read_images(images), read_cluster(cluster))
    for fault in _faults(made):
        if not dry_run:
            raise UserError(fault)
        typer.echo(f"warning: {fault}; without it nothing is sent", err=True)
    return made


def _faults(made: Compiled) -> Iterator[str]:
    """Why this would run nowhere but here."""
    if made.placeholders:
        yield (
            f"no image for {', '.join(made.placeholders)}: give --images FILE with images by their"
            " digests; `make images` builds them and writes build/images/images.json"
        )
    stores = {json.loads(text)["store"] for text in made.parameters.values()}
    for store in sorted(store for store in stores if not is_s3(store)):
        yield (
            f"store: {store}: a pod's own disk, which no other step sees; give --set"
            " store=s3://BUCKET/PREFIX"
        )
