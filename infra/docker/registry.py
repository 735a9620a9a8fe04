"""Debian's docker-registry on the loopback, and pushing to that or another one."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from geovr.errors import UserError
from infra.docker.engine import Engine
from infra.local.processes import (
    LOOPBACK,
    Process,
    find,
    forget,
    free_ports,
    start,
    stopped_on_failure,
    wait_until,
)

_STATE, _CONFIG, _LOG, _DATA = "registry.json", "registry.yaml", "registry.log", "registry"


@dataclass(frozen=True)
class Registry:
    """A registry that was started here; engines take one on the loopback without TLS."""

    process: Process
    port: int

    @property
    def address(self) -> str:
        """As names of images begin."""
        return f"{LOOPBACK}:{self.port}"


def up(directory: Path) -> Registry:
    """Start it on what it keeps in a directory, unless it runs.

    Raises:
        UserError: when the program is missing or doesn't start.
    """
    found = running(directory)
    if found is not None:
        return found
    program = find(
        "docker-registry", remedy="install Debian's docker-registry, or name yours by --registry"
    )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / _STATE
    # the port is part of every image's name, so it stays
    port = json.loads(path.read_text())["port"] if path.is_file() else free_ports(1)[0]
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str((directory / _DATA).resolve())}},
        "http": {"addr": f"{LOOPBACK}:{port}"},
    }
    (directory / _CONFIG).write_text(yaml.safe_dump(config))
    command = [program, "serve", str(directory / _CONFIG)]
    process = start("docker-registry", command, directory / _LOG)
    with stopped_on_failure(process):
        wait_until(
            lambda: urllib.request.urlopen(f"http://{LOOPBACK}:{port}/v2/", timeout=5).read(),
            process,
        )
        path.write_text(json.dumps({"port": port, "process": asdict(process)}))
    return Registry(process, port)


def running(directory: Path) -> Registry | None:
    """The registry of a directory, None unless it runs."""
    path = directory / _STATE
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    process = Process(**told["process"])
    return Registry(process, told["port"]) if process.alive() else None


def down(directory: Path, *, delete: bool = False) -> bool:
    """Stop it; whether it ran. Images that it keeps go only when `delete` is set."""
    found = running(directory)
    if found is not None:
        found.process.stop()
    if delete and (directory / _STATE).is_file():
        forget(directory, (_DATA, _CONFIG, _LOG, _STATE))
    return found is not None


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Registry]:
    """The registry while the block runs; nothing of it is left then."""
    try:
        yield up(directory)
    finally:
        down(directory, delete=True)


def push(engine: Engine, name: str, registry: str) -> str:
    """Push a local image; its name by the digest that the registry knows it by.

    Args:
        engine: that has the image.
        name: of the image, as geovr/cpu:<commit>.
        registry: address, and path if it has one.

    Raises:
        UserError: with the registry's own words.
    """
    import docker

    repository, _, tag = name.rpartition(":")
    target = f"{registry.rstrip('/')}/{repository}"
    digest = ""
    with contextlib.closing(engine.client()) as client:
        try:
            client.images.get(name).tag(target, tag)
        except docker.errors.ImageNotFound:
            raise UserError(f"{name}: the engine hasn't got it; build it first") from None
        for line in client.api.push(target, tag, stream=True, decode=True):
            if "error" in line:
                raise UserError(f"{target}:{tag}: the registry refused it: {line['error']}")
            digest = line.get("aux", {}).get("Digest", digest)
        # the tag was for pushing; what stays is known by its digest
        client.images.remove(f"{target}:{tag}", noprune=True)
    if not digest:
        raise UserError(f"{target}:{tag}: the registry gave no digest; push it again")
    return f"{target}@{digest}"
