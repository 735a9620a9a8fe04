"""Each stage in a container of Kubeflow's Docker runner, which sees and writes what it needs only.

Its root is read-only and its user never root. The store, the home directory and the runner's own
directory are mounted to be written to, what the configs name on this machine to be read, each at
the path that it has here, so that configs mean the same inside.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from geovr.errors import UserError
from geovr.home import home
from geovr.storage import is_s3
from geovr.storage_dvc import pointer_files
from geovr.tracking import tracking_uri
from pipelines.images import read_images

PASSED = ("AWS_", "MLFLOW_", "GEOVR_")
"""Beginnings of the variables that reach the stages; of this machine's others none does."""
_OF_THE_IMAGE = ("GEOVR_GIT_SHA", "GEOVR_IMAGE")
BUILT = Path("build/images/images.json")
LABEL = "geovr.run"
_GRACE_S = 30
_ALONE = {"hostname": "localhost", "dns": ["127.0.0.1"]}
"""Without a network torchrun still asks for its own name, and for that of each connection: it is
known, and who isn't there to be asked says so at once.
"""


@dataclass(frozen=True)
class Containers:
    """How the containers of a run are to be.

    Attributes:
        image: name of a local image, or of one that a registry has by its digest.
        network: Docker's network; `none` reaches nothing.
        user: `uid:gid`; the caller's own when not given, and never root.
        memory_gb: what each may take at most.
    """

    image: str
    network: str = "none"
    user: str | None = None
    memory_gb: int = 16
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    def make(self, place: Path) -> None:
        """Make a directory that the containers write to.

        Raises:
            UserError: when it, or something in it, is another user's.
        """
        uid, gid = self._ids()
        if not place.exists():
            place.mkdir(parents=True)
            if os.geteuid() == 0:
                os.chown(place, uid, gid)
        for path in (place, *place.iterdir()):
            told = path.stat()
            shared = told.st_mode & 0o002 or (told.st_gid == gid and told.st_mode & 0o020)
            if told.st_uid != uid and not shared:
                raise UserError(
                    f"{path} belongs to user {told.st_uid}, and the containers run as {uid}:{gid};"
                    f" give it to them (chown -R {uid}:{gid} {place}), or choose another --user or"
                    " place"
                )

    def arguments(self, parameters: dict[str, str]) -> dict[str, Any]:
        """Arguments of KFP's DockerRunner, which hands them to docker-py.

        Args:
            parameters: stage name -> its config as JSON.

        Raises:
            UserError: naming what the containers could not see, reach or write to.
        """
        from docker.types import Mount

        uid, gid = self._ids()
        configs = [json.loads(parameter) for parameter in parameters.values()]
        environment = _environment()
        _require_reachable(configs, environment, self.network)
        stores = {str(config["store"]) for config in configs if not is_s3(str(config["store"]))}
        writable = {_absolute(place): Path(place).resolve() for place in (*stores, str(home()))}
        for place in writable.values():
            self.make(place)
        readable = dict(_inputs(configs, environment))
        mounts = [
            Mount(target, str(source), type="bind", read_only=target not in writable)
            for target, source in (readable | writable).items()
        ]
        return {
            "user": f"{uid}:{gid}",
            "read_only": True,
            "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777"},
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "network": self.network,
            **(_ALONE if self.network == "none" else {}),
            "mem_limit": f"{self.memory_gb}g",
            "memswap_limit": f"{self.memory_gb}g",
            "pids_limit": 4096,
            "shm_size": "1g",
            "init": True,
            "labels": {LABEL: self.run},
            "working_dir": str(Path.cwd()),
            "mounts": mounts,
            "environment": environment | {"GEOVR_HOME": str(home()), "GEOVR_IMAGE": self.image},
        }

    def stop(self) -> None:
        """End what a run that was broken off left behind; nothing else does."""
        import docker

        client = docker.from_env(timeout=_GRACE_S + 30)
        try:
            for container in client.containers.list(filters={"label": f"{LABEL}={self.run}"}):
                try:
                    container.stop(timeout=_GRACE_S)
                except docker.errors.NotFound:  # it ended by itself, and the engine removed it
                    continue
        finally:
            client.close()

    def _ids(self) -> tuple[int, int]:
        if self.user is None:
            owner = Path.cwd().stat()
            mine = (os.getuid(), os.getgid())
            return mine if mine[0] else (owner.st_uid or 1000, owner.st_gid or 1000)
        uid, _, gid = self.user.partition(":")
        if not (uid.isdecimal() and gid.isdecimal()) or int(uid) == 0:
            raise UserError(f"--user {self.user}: give two numbers, UID:GID, and not root's")
        return int(uid), int(gid)


def built_image() -> str:
    """The cpu image that `make images` has recorded.

    Raises:
        UserError: when it recorded none.
    """
    found = read_images(BUILT if BUILT.is_file() else None).get("default")
    if found is None:
        raise UserError(f"{BUILT}: no image in it; run make images, or give --image")
    return found


def find_image(name: str) -> str:
    """The name by which KFP finds an image on this machine's engine, by digest where it has one.

    Raises:
        UserError: when no engine answers, or it hasn't got the image.
    """
    import docker

    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise UserError(
            f"no Docker engine answers ({error}); start it, or set DOCKER_HOST (as root:"
            " python -m infra.docker up)"
        ) from None
    try:
        found = client.images.get(name)
    except (docker.errors.ImageNotFound, docker.errors.APIError) as error:
        raise UserError(
            f"--image {name}: the Docker engine hasn't got it ({error.explanation}); build it with"
            " make images, or pull it"
        ) from None
    finally:
        client.close()
    names = [*found.attrs["RepoDigests"], *found.tags]
    if not names:
        raise UserError(f"--image {name}: it has no name; give it one with docker tag")
    return name if name in names else names[0]


def _environment() -> dict[str, str]:
    """The variables that are passed on."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PASSED) and name not in _OF_THE_IMAGE
    }


def _require_reachable(
    configs: list[dict[str, Any]], environment: dict[str, str], network: str
) -> None:
    needed = {}
    if urlsplit(tracking_uri()).scheme in ("http", "https"):
        needed["MLFLOW_TRACKING_URI"] = tracking_uri()
    if any(is_s3(text) for config in configs for text in _texts(config)):
        needed["s3://"] = environment.get("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")
    for what, url in needed.items():
        if network == "none":
            raise UserError(f"{what} needs a network, and --network none has none; name another")
        host = urlsplit(url).hostname or ""
        if network != "host" and (host in ("localhost", "::1") or host.startswith("127.")):
            raise UserError(
                f"{what} is at {host}, which is each container's own loopback; give --network"
                " host, or servers on an address of the network: python -m infra.local up --address"
            )


def _inputs(
    configs: list[dict[str, Any]], environment: dict[str, str]
) -> Iterator[tuple[str, Path]]:
    """Absolute path -> real path, of all that configs and variables name on this machine."""
    for config in configs:
        for text in _texts({k: v for k, v in config.items() if k != "store"}):
            yield from _seen(text)
        videos = str(config.get("videos") or "")
        if videos.endswith(".txt") and Path(videos).is_file():
            for line in Path(videos).read_text().splitlines():
                yield from _seen(str(Path(videos).parent / line.strip()))
    for name, value in environment.items():
        # files of certificates and credentials; directories such as GEOVR_HOME are no inputs
        if not name.startswith("GEOVR_") and Path(value).is_absolute() and Path(value).is_file():
            yield from _seen(value)


def _seen(text: str) -> Iterator[tuple[str, Path]]:
    """A path as it is mounted, with the pointers in which DVC says what version it is."""
    if not text or is_s3(text) or len(text) > 4096 or "\0" in text:
        return
    path = Path(_absolute(text))
    try:
        if not path.exists():
            return
    except OSError:  # too long for a file's name, so it is none
        return
    if path == Path(path.anchor):
        raise UserError(f"{text}: the whole file system can't be given to a container")
    yield str(path), path.resolve()
    for pointer in pointer_files(path):
        yield str(pointer), pointer.resolve()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _absolute(text: str) -> str:
    """Without following links: inside, the path is the same."""
    return os.path.abspath(text)  # noqa: PTH100 - resolve() follows links
