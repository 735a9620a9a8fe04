"""A Docker engine: the one that answers, or Debian's dockerd with all it keeps in one directory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from infra.docker import firewall
from infra.local.processes import Process, find, forget, start, stopped_on_failure, wait_until

DIRECTORY = Path(".geovr/engine")
REMEDY = (
    "start Docker, set DOCKER_HOST, or as root install Debian's packages"
    " (apt-get install docker.io docker-registry debootstrap)"
)
_LONGEST_SOCKET = 107
"""Characters that Linux takes of a socket's path."""
_STATE = "engine.json"


@dataclass(frozen=True)
class Engine:
    """An engine.

    Attributes:
        host: as DOCKER_HOST names it.
        process: dockerd, when it is ours.
        rules: whether Docker's firewall rules were there before it, and so aren't its own.
    """

    host: str
    process: Process | None = None
    rules: bool = True

    def client(self) -> Any:
        """A docker-py client of it."""
        import docker

        return docker.DockerClient(base_url=self.host, timeout=600)

    def describe(self) -> str:
        """What it is, for people."""
        with contextlib.closing(self.client()) as client:
            told = client.version()
        return f"Docker {told['Version']} at {self.host}"


def answering() -> Engine | None:
    """The engine of DOCKER_HOST or of the default socket; None when none answers."""
    import docker

    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        with contextlib.closing(docker.DockerClient(base_url=host, timeout=10)) as client:
            client.ping()
    except docker.errors.DockerException:
        return None
    return Engine(host)


def up(directory: Path) -> Engine:
    """The engine that answers; else that of a directory, started unless it runs.

    Raises:
        UserError: when there is none and none can be started.
    """
    found = answering() or running(directory)
    if found is not None:
        return found
    if os.environ.get("DOCKER_HOST"):
        raise UserError(f"DOCKER_HOST {os.environ['DOCKER_HOST']}: no engine answers; {REMEDY}")
    dockerd = find("dockerd", "/usr/sbin", remedy=REMEDY)
    if os.geteuid() != 0:
        raise UserError(f"no Docker engine answers, and only root can start one; {REMEDY}")
    directory = directory.resolve()
    socket = directory / "docker.sock"
    if len(str(socket)) > _LONGEST_SOCKET:
        raise UserError(f"{socket}: too long for a socket; give a --directory with a shorter path")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    host = f"unix://{socket}"
    # builds use the machine's network and runs one of Docker's, from which there is no way out: an
    # internal network has a route, so it is Docker's rules that isolate it, and they go with it
    rules = firewall.present()
    process = start(
        "dockerd",
        [
            dockerd, "--host", host, "--data-root", str(directory / "data"),
            "--exec-root", str(directory / "exec"), "--pidfile", str(directory / "pid"),
            "--bridge", "none", "--ip-forward=false",
        ],
        directory / "dockerd.log",
    )  # fmt: skip
    made = Engine(host, process, rules)

    def ready() -> None:
        with contextlib.closing(made.client()) as client:
            client.ping()

    with stopped_on_failure(process):
        wait_until(ready, process)
        (directory / _STATE).write_text(json.dumps(asdict(made)))
    return made


def running(directory: Path) -> Engine | None:
    """The engine that was started in a directory, None unless it runs."""
    path = directory / _STATE
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    process = Process(**told["process"])
    return Engine(told["host"], process, told["rules"]) if process.alive() else None


def down(directory: Path, *, delete: bool = False) -> bool:
    """Stop the engine of a directory and its containers; whether it ran.

    Args:
        directory: that it was started in.
        delete: its images and containers too.
    """
    found = running(directory)
    if found is not None and found.process is not None:
        with contextlib.closing(found.client()) as client:
            for container in client.containers.list():
                container.stop(timeout=10)
            for network in client.networks.list():
                if network.name not in ("none", "host"):
                    network.remove()
        found.process.stop(patience_s=60)
        if not found.rules:
            firewall.remove()
    if delete and (directory / _STATE).is_file():
        forget(directory, ("data", "exec", "dockerd.log", "docker.sock", "pid", _STATE))
    return found is not None


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Engine]:
    """An engine while the block runs; nothing is left of one that was started for it."""
    made = up(directory)
    try:
        yield made
    finally:
        if made.process is not None:
            down(directory, delete=True)
