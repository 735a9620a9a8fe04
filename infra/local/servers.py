"""All three servers together: started, found again, stopped.

state.json in their directory says what runs and with which credentials; it and env.sh can be read
by their owner alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from infra.local import postgres, s3
from infra.local.postgres import Postgres, start_postgres, stop_postgres
from infra.local.processes import LOOPBACK, Process, forget, free_ports
from infra.local.s3 import S3, start_s3
from infra.local.tracking import Tracking, start_tracking

DIRECTORY = Path(".geovr/servers")
# all that lies in their directory; state.json goes last, so that a deletion can be taken up again
ENTRIES = (
    "s3", "postgres", "postgres.log", "s3.log", "mlflow.log", "s3.json", "env.new", "env.sh",
    "state.new", "state.json",
)  # fmt: skip


@dataclass(frozen=True)
class Servers:
    """What runs."""

    directory: Path
    database: Postgres
    objects: S3
    tracking: Tracking

    @property
    def variables(self) -> dict[str, str]:
        """For GeoVR, boto3 and DVC."""
        return {"MLFLOW_TRACKING_URI": self.tracking.url} | self.objects.variables

    def processes(self) -> list[Process]:
        """In the order in which they stop."""
        return [self.tracking.process, self.objects.process, self.database.process]

    def describe(self) -> str:
        """What it is, for people; without secrets."""
        with postgres.connect(self.database) as connection, connection.cursor() as cursor:
            cursor.execute("show server_version")
            version = str(cursor.fetchone()[0])
        mlflow = urllib.request.urlopen(f"{self.tracking.url}/version", timeout=10).read().decode()
        return (
            f"PostgreSQL {version} at {LOOPBACK}:{self.database.port}, SeaweedFS S3 at"
            f" {self.objects.address}:{self.objects.port}, MLflow server {mlflow} at"
            f" {self.tracking.url}"
        )


def up(directory: Path, address: str = LOOPBACK) -> Servers:
    """Start what isn't running; data of before is there again.

    Args:
        directory: of their data, logs and credentials.
        address: of this machine, at which S3 and MLflow listen; MLflow asks nobody who he is, so
            no other than this machine and its containers should reach it. PostgreSQL stays on the
            loopback.

    Raises:
        UserError: when a program is missing or doesn't start; what was started is stopped then.
    """
    for program in (lambda: postgres.program("postgres"), s3.program, postgres.account):
        program()
    found = running(directory)
    if found is not None:
        return found
    down(directory)  # the rest of a half that died
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = _state(directory)
    password, secret = (told.get(name) or secrets.token_urlsafe(24) for name in ("password", "s3"))
    # before anything starts: a cluster keeps the password that it was made with
    processes: dict[str, dict[str, Any]] = {}
    told = {"password": password, "s3": secret, "address": address, "processes": processes}
    _write(directory, told)
    ports = free_ports(3)
    with contextlib.ExitStack() as undo:

        def keep(name: str, one: Postgres | S3 | Tracking) -> None:
            undo.callback(_stop, name, one.process)
            processes[name] = asdict(one.process) | {"port": one.port}
            _write(directory, told)

        database = start_postgres(directory, ports[0], password)
        keep("postgres", database)
        objects = start_s3(directory, ports[1], secret, address)
        keep("s3", objects)
        tracking = start_tracking(directory, ports[2], database, objects, address)
        keep("mlflow", tracking)
        made = Servers(directory, database, objects, tracking)
        lines = [f"export {name}={value}\n" for name, value in made.variables.items()]
        _private(directory / "env.sh", "".join(lines))
        undo.pop_all()
    return made


def running(directory: Path) -> Servers | None:
    """The servers of a directory, None unless all of them run."""
    told = _state(directory)
    found = told.get("processes") or {}
    if set(found) != {"postgres", "s3", "mlflow"}:
        return None
    processes, ports = {}, {}
    for name, values in found.items():
        ports[name] = int(values["port"])
        processes[name] = Process(**{k: v for k, v in values.items() if k != "port"})
    if not all(process.alive() for process in processes.values()):
        return None
    address = str(told.get("address", LOOPBACK))
    return Servers(
        directory,
        Postgres(processes["postgres"], ports["postgres"], str(told["password"])),
        S3(processes["s3"], ports["s3"], str(told["s3"]), address),
        Tracking(processes["mlflow"], ports["mlflow"], address),
    )


def down(directory: Path, *, delete: bool = False) -> list[str]:
    """Stop what runs; names of what was stopped.

    Args:
        directory: of the servers.
        delete: their data and credentials as well; what else lies there stays.

    Raises:
        UserError: when there is nothing of theirs to delete.
    """
    told = _state(directory)
    if delete and not told:
        raise UserError(
            f"{directory}: no state.json of these servers there, so nothing was deleted; give the"
            " --directory that they were started with, or delete it by hand"
        )
    stopped = []
    for name in ("mlflow", "s3", "postgres"):
        values = (told.get("processes") or {}).get(name)
        if values is None:
            continue
        process = Process(**{k: v for k, v in values.items() if k != "port"})
        if process.alive():
            stopped.append(process.name)
            _stop(name, process)
    if told:
        _write(directory, told | {"processes": {}})
    if delete:
        # PostgreSQL's may lie elsewhere; an absolute name stands for itself
        forget(directory, (str(postgres.place(directory).absolute()), *ENTRIES))
    return stopped


@contextlib.contextmanager
def serving(directory: Path, address: str = LOOPBACK) -> Iterator[Servers]:
    """The servers while the block runs; nothing of them is left then."""
    try:
        yield up(directory, address)
    finally:
        if (directory / "state.json").exists():  # else nothing was started
            down(directory, delete=True)


def _stop(name: str, process: Process) -> None:
    (stop_postgres if name == "postgres" else Process.stop)(process)


def _state(directory: Path) -> dict[str, Any]:
    path = directory / "state.json"
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); end the servers by hand, delete it") from None
    if not isinstance(told, dict) or not {"password", "s3", "processes"} <= set(told):
        raise UserError(f"{path}: not of these servers; give another --directory")
    return told


def _write(directory: Path, told: dict[str, Any]) -> None:
    _private(directory / "state.json", json.dumps(told, indent=2) + "\n")


def _private(path: Path, text: str) -> None:
    """A file for its owner's eyes, whole or as it was."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
