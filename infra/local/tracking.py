"""An MLflow server on PostgreSQL, which keeps artifacts on S3 and hands them out itself."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from pathlib import Path

from infra.local.postgres import Postgres
from infra.local.processes import LOOPBACK, Process, find, start, stopped_on_failure, wait_until
from infra.local.s3 import BUCKET, S3


@dataclass(frozen=True)
class Tracking:
    """How to reach it."""

    process: Process
    port: int
    address: str = LOOPBACK

    @property
    def url(self) -> str:
        """For MLFLOW_TRACKING_URI and a browser."""
        return f"http://{self.address}:{self.port}"


def start_tracking(
    directory: Path, port: int, database: Postgres, objects: S3, address: str = LOOPBACK
) -> Tracking:
    """Start it.

    Raises:
        UserError: when it doesn't start.
    """
    process = start(
        "the MLflow server",
        [
            find("mlflow", remedy="run make setup"), "server", "--host", address,
            "--port", str(port), "--workers", "2",
        ],
        directory / "mlflow.log",
        # by environment: arguments of a program can be read by everybody on the machine
        variables=objects.variables
        | {
            "MLFLOW_BACKEND_STORE_URI": database.uri,
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
            "MLFLOW_SERVE_ARTIFACTS": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    )  # fmt: skip
    made = Tracking(process, port, address)
    with stopped_on_failure(process):
        wait_until(lambda: urllib.request.urlopen(f"{made.url}/health", timeout=5).read(), process)
    return made
