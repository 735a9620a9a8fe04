"""PostgreSQL of Debian's packages: a cluster of its own, reached by password on the loopback."""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from infra.local.processes import LOOPBACK, Process, find, start, stopped_on_failure, wait_until

REMEDY = "install Debian's package postgresql (apt-get install postgresql)"
USER, DATABASE = "geovr", "mlflow"


@dataclass(frozen=True)
class Postgres:
    """How to reach it."""

    process: Process
    port: int
    password: str

    @property
    def uri(self) -> str:
        """For SQLAlchemy; holds the password."""
        at = f"{LOOPBACK}:{self.port}"
        return f"postgresql+psycopg2://{USER}:{self.password}@{at}/{DATABASE}"


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them away from the path.

    Raises:
        UserError: when it isn't installed.
    """
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return find(name, *places, remedy=REMEDY)


def account() -> str | None:
    """The user it runs as when root starts it, which it refuses to run as; None for oneself.

    Raises:
        UserError: when there is no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise UserError(f"no user postgres on this machine: {REMEDY}") from None


def place(directory: Path) -> Path:
    """Where the cluster lies: below `directory`, or where its own user can get at it."""
    if account() is None:
        return directory / "postgres"
    name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    return Path(pwd.getpwnam("postgres").pw_dir) / f"geovr-{name}"


def start_postgres(directory: Path, port: int, password: str) -> Postgres:
    """Make the cluster, unless it is there, and start it.

    Raises:
        UserError: when PostgreSQL is missing or doesn't start.
    """
    user, data = account(), place(directory)
    if not (data / "PG_VERSION").exists():
        _initialise(data, user, password)
    process = start(
        "PostgreSQL",
        [
            program("postgres"), "-D", str(data), "-p", str(port),
            "-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories=",
        ],
        directory / "postgres.log",
        user=user,
    )  # fmt: skip
    made = Postgres(process, port, password)
    with stopped_on_failure(process, stop_postgres):
        wait_until(lambda: _create_database(made), process)
    return made


def _initialise(data: Path, user: str | None, password: str) -> None:
    data.mkdir(parents=True, mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", prefix="geovr-") as secret:
        secret.write(password)
        secret.flush()
        if user is not None:
            owner = pwd.getpwnam(user)
            for path in (data, secret.name):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        made = subprocess.run(
            [
                program("initdb"), "-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8",
                "--auth=scram-sha-256", f"--pwfile={secret.name}",
            ],
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/",
            capture_output=True,
            text=True,
        )  # fmt: skip
    if made.returncode != 0:
        raise UserError(f"{data}: initdb failed: {made.stderr[-2000:]}")


def _create_database(server: Postgres) -> None:
    with connect(server, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select 1 from pg_database where datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(f'create database "{DATABASE}"')


class connect:  # noqa: N801 - used like a function
    """A connection that commits each statement and is closed with the block."""

    def __init__(self, server: Postgres, database: str = DATABASE) -> None:
        import psycopg2

        self._connection: Any = psycopg2.connect(
            host=LOOPBACK, port=server.port, user=USER, password=server.password,
            dbname=database, connect_timeout=5,
        )  # fmt: skip
        self._connection.autocommit = True

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *error: object) -> None:
        self._connection.close()


def stop_postgres(process: Process) -> None:
    """A fast shutdown: connections are ended, everything is written."""
    import signal

    process.stop(signal.SIGINT)
