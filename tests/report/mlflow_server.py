"""An MLflow server on a work directory's own database."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.workspace import BIN


@dataclass(frozen=True)
class Server:
    """Where it answers, and its database."""

    url: str
    database: Path

    def run_page(self, run_id: str) -> str:
        """The page of a run."""
        with contextlib.closing(sqlite3.connect(self.database)) as rows:
            query = "select experiment_id from runs where run_uuid = ?"
            (experiment,) = rows.execute(query, (run_id,)).fetchone()
        return f"{self.url}/#/experiments/{experiment}/runs/{run_id}"


@contextlib.contextmanager
def mlflow_server(home: Path, scratch: Path) -> Iterator[Server]:
    """Start it on a free port of the loopback, and end it with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (scratch / "mlflow.log").open("w+")
    database = home / "mlflow.db"
    process = subprocess.Popen(
        [
            str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
            "--backend-store-uri", f"sqlite:///{database}", "--workers", "1",
            "--default-artifact-root", str(home / "mlflow-artifacts"),
        ],
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).read()
                break
            except OSError:
                log.seek(0)
                assert process.poll() is None, log.read()[-3000:]
                assert time.monotonic() < deadline, log.read()[-3000:]
                time.sleep(0.5)
        yield Server(url, database)
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        log.close()
