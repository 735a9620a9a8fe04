"""MLflow's server as the manifests start it: their command and variables, on real servers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes import generated
from infra.local import postgres
from infra.local.processes import LOOPBACK, find, free_ports, start, wait_until
from infra.local.servers import Servers
from infra.policies.manifests import pod_specs
from tests.policies.conftest import KUBERNETES, manifests

pytestmark = pytest.mark.servers
DATABASE = "on_cluster"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def container(directory: str, kind: str) -> dict[str, Any]:
    """The first container of a kind's pod."""
    made = manifests(KUBERNETES / directory)
    (found,) = (
        spec["containers"][0]
        for m, _, spec in pod_specs(made)
        if m.kind == kind and m.name.startswith("geovr-mlflow")
    )
    return dict(found)


def variables(
    found: dict[str, Any], secrets: dict[str, dict[str, str]], config: dict[str, str]
) -> dict[str, str]:
    """What Kubernetes would put into a container's environment."""
    told = {}
    for one in found["env"]:
        source = one.get("valueFrom", {})
        if "value" in one:
            told[one["name"]] = one["value"]
        elif "secretKeyRef" in source:
            told[one["name"]] = secrets[source["secretKeyRef"]["name"]][
                source["secretKeyRef"]["key"]
            ]
        else:
            told[one["name"]] = config[source["configMapKeyRef"]["key"]]
    return told


def bare() -> dict[str, str]:
    """This environment without anything that a container would not have."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}


class Deployed:
    """The server, at an address of its own, with its secrets."""

    def __init__(self, servers: Servers, directory: Path) -> None:
        with postgres.connect(servers.database, "postgres") as connection:
            connection.cursor().execute(f'create database "{DATABASE}"')
        uri = servers.database.uri.rpartition("/")[0] + f"/{DATABASE}"
        self.secrets = generated.values()
        self.secrets["geovr-mlflow-server"] |= {
            "database-uri": uri, "basic_auth.ini": generated.auth_file(uri)
        }  # fmt: skip
        s3 = servers.objects.variables
        self.secrets["geovr-s3"] = {
            k: s3[k] for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        }
        self.config = {k: s3[k] for k in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")}
        self.directory = directory
        (self.port,) = free_ports(1)

    def run_upgrade(self) -> subprocess.CompletedProcess[str]:
        """The Job of mlflow-upgrade."""
        found = container("mlflow-upgrade", "Job")
        program, *arguments = [*found["command"], *found["args"]]
        return subprocess.run(
            [find(program, remedy=""), *arguments],
            env=bare() | variables(found, self.secrets, self.config),
            cwd=self.directory, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """The Deployment of the dev overlay, while the block runs."""
        found = container("overlays/dev", "Deployment")
        program, *arguments = [*found["command"], *found["args"]]
        # another port, and the loopback, which nobody else can reach
        changed = {"--host=0.0.0.0": f"--host={LOOPBACK}", "--port=5000": f"--port={self.port}"}
        auth = self.directory / "basic_auth.ini"
        auth.touch(mode=0o600)
        auth.write_text(self.secrets["geovr-mlflow-server"]["basic_auth.ini"])
        told = variables(found, self.secrets, self.config)
        told |= {"MLFLOW_AUTH_CONFIG_PATH": str(auth), "HOME": str(self.directory)}
        process = start(
            "the MLflow server",
            [find(program, remedy=""), *(changed.get(one, one) for one in arguments)],
            self.directory / "mlflow.log",
            variables=dict.fromkeys((k for k in os.environ if k.startswith("MLFLOW_")), "") | told,
        )
        try:
            wait_until(lambda: self.ask("/health"), process)
            yield
        finally:
            process.stop()

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        signed: bool = False,
        host: str = "geovr-mlflow.geovr.svc:5000",
        method: str | None = None,
    ) -> tuple[int, bytes]:
        """Status and answer of a request; a body that isn't bytes is sent as JSON."""
        headers = {"Host": host}
        if body is not None and not isinstance(body, bytes):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        if signed:
            pair = ":".join(self.secrets["geovr-mlflow-client"].values()).encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        at = f"http://{LOOPBACK}:{self.port}{path}"
        request = urllib.request.Request(at, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def test_it_serves_those_who_sign_in_under_its_own_names(servers: Servers, tmp_path: Path) -> None:
    deployed = Deployed(servers, tmp_path)
    search = "/api/2.0/mlflow/experiments/search"
    with deployed.serving():
        # the probe asks without credentials, under the pod's own address
        assert deployed.ask("/health", host="10.1.2.3:5000")[0] == 200
        assert deployed.ask(search, {"max_results": 5})[0] == 401
        assert deployed.ask(search, {"max_results": 5}, signed=True)[0] == 200
        assert deployed.ask(search, {"max_results": 5}, signed=True, host="evil.example")[0] == 403
        # an artifact goes through the server to S3, so its client needs no key of that
        sent = deployed.ask(f"{ARTIFACTS}/x/note.txt", b"hello", signed=True, method="PUT")
        assert sent[0] == 200
        assert deployed.ask(f"{ARTIFACTS}/x/note.txt")[0] == 401
    kept = servers.objects.client().get_object(Bucket="geovr", Key="mlflow/x/note.txt")
    assert kept["Body"].read() == b"hello"
    log, server = (tmp_path / "mlflow.log").read_text(), deployed.secrets["geovr-mlflow-server"]
    password = servers.database.password
    assert not any(
        s in log for s in (server["admin-password"], server["flask-secret-key"], password)
    )
    upgraded = deployed.run_upgrade()
    assert upgraded.returncode == 0, upgraded.stderr
    assert password not in upgraded.stdout + upgraded.stderr
    with deployed.serving():
        assert deployed.ask(search, {"max_results": 5}, signed=True)[0] == 200
