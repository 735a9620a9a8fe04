"""Canary secrets in the environment of a whole run on servers: nothing that is left tells them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from geovr import tracking
from geovr.errors import StoreError, UserError
from geovr.storage import Store
from infra.local import postgres
from infra.local.s3 import BUCKET
from infra.local.servers import Servers
from tests import chat_server
from tests.faults import faulty_s3 as faulty
from tests.faults.faulty_s3 import Answer
from tests.workspace import Workspace

CANARIES = {
    "AWS_SESSION_TOKEN": "canary-session-4d1f", "HF_TOKEN": "hf_canary-hub-77ab",
    "MLFLOW_TRACKING_USERNAME": "canary-user-0e52", "MLFLOW_TRACKING_PASSWORD": "canary-word-91c3",
    "EVALUATION_KEY": "sk-canary-chat-5b60", "DATABASE_URL": "postgresql://u:canary-db-2f9e@h/d",
}  # fmt: skip
ADDRESS = "canary-address-c88d"
"""The password in an address of the tracking server."""


def hidden(servers: Servers) -> dict[str, str]:
    """Where it is kept -> what must be nowhere."""
    named = CANARIES | {
        "AWS_SECRET_ACCESS_KEY": servers.objects.secret, "MLFLOW_TRACKING_URI": ADDRESS,
        "MLflow's database": servers.database.password,
    }  # fmt: skip
    return named | {"DATABASE_URL": "canary-db-2f9e"}


def leaks(secrets: dict[str, str], where: str, content: bytes) -> list[str]:
    return [f"{name} in {where}" for name, value in secrets.items() if value.encode() in content]


def everything(servers: Servers, root: Path) -> Iterator[tuple[str, bytes]]:
    """Each file of a work directory, each object on S3 and each row of MLflow's database."""
    for path in root.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(root)), path.read_bytes()
    client = servers.objects.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            yield item["Key"], client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
    with postgres.connect(servers.database) as rows, rows.cursor() as cursor:
        cursor.execute(
            "select table_name from information_schema.tables where table_schema='public'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'select t::text from "{table}" t')
            yield f"table {table}", "\n".join(str(row[0]) for row in cursor.fetchall()).encode()


@pytest.mark.servers
@pytest.mark.fault(52)
def test_a_run_through_kubeflow_leaves_no_secret_anywhere(
    workspace: Workspace, servers: Servers
) -> None:
    """Output, KFP's inputs and metadata, manifests, records, MLflow's rows, artifacts, reports."""
    secrets, root = hidden(servers), workspace.root
    tracking = servers.tracking.url.replace("//", f"//user:{ADDRESS}@")
    told: list[tuple[str, str]] = []
    with (
        faulty.faulty_s3(servers.objects.port, BUCKET) as proxy,
        chat_server.serving(lambda request: "A", CANARIES["EVALUATION_KEY"]) as chat,
    ):
        shared = servers.variables | CANARIES | {
            "AWS_ENDPOINT_URL": proxy.url, "MLFLOW_TRACKING_URI": tracking, "AWS_MAX_ATTEMPTS": "2",
            "TMPDIR": str(root / "tmp"),
        }  # fmt: skip
        (root / "tmp").mkdir()
        # a token that the server doesn't know would be refused
        token = shared.pop("AWS_SESSION_TOKEN")
        backend = {"kind": "openai", "base_url": chat.base_url, "model": "tiny",
                   "api_key_env": "EVALUATION_KEY"}  # fmt: skip
        workspace.params({"evaluate": {"backend": backend}})
        store = ("--set", f"store=s3://{BUCKET}/canary")

        def tell(*command: str, code: int = 0, **more: str) -> str:
            text = workspace.run(*command, code=code, shared=shared | more)
            told.append((" ".join(command), text))
            return text

        run = ("python", "-m", "pipelines", "run", "--local", *store)
        assert "Registered geovr version" in tell(*run)
        assert chat.keys and set(chat.keys) == {f"Bearer {CANARIES['EVALUATION_KEY']}"}
        tell("geovr", "doctor", *store)
        tell("geovr", "doctor", "--json", *store)
        # what a server says of a request may hold what was sent
        echo = f"you sent {servers.objects.secret} {token} to http://user:{ADDRESS}@store"
        refused = Answer(403, "AccessDenied", echo)
        # the answer to a HEAD has no message
        proxy.plan = lambda asked: (
            Answer(404, "NoSuchKey") if asked.operation == "HeadObject" else refused
        )
        for code, *command in (
            (1, *run), (1, "geovr", "ingest", *store), (1, "geovr", "ingest", "--json", *store),
            (2, "geovr", "doctor", "--json", *store),
        ):  # fmt: skip
            text = tell(*command, code=code, AWS_SESSION_TOKEN=token)
            assert "AccessDenied" in text and "you sent *** ***" in text, text
        tell("geovr", "ingest", *store, code=2,
             AWS_ENDPOINT_URL=proxy.url.replace("//", f"//user:{ADDRESS}@"))  # fmt: skip
        tell("geovr", "ingest", "--set", f"store=s3://user:{ADDRESS}@bucket/x", code=2)
    assert len(told) == 9
    found = [leak for what, text in told for leak in leaks(secrets, what, text.encode())]
    places = set()
    for where, content in everything(servers, root):
        places.add(where.partition("/")[0])
        found += leaks(secrets, where, content)
    assert found == []
    assert {".geovr", "canary", "mlflow", "table params", "table tags", "table runs"} <= places
    # and it would be found
    assert leaks(secrets, "here", json.dumps(CANARIES).encode())


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "uri", [f"s3://me:{ADDRESS}@bucket/store", f"s3://{ADDRESS}@bucket", f"s3://k:{ADDRESS}@b/@/x"]
)
def test_a_store_with_a_password_in_its_address_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match="holds a user or password") as told:
        Store.open(uri)
    assert ADDRESS not in str(told.value)


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "endpoint", [f"http://me:{ADDRESS}@127.0.0.1:1", f"http://me:{ADDRESS}/x@127.0.0.1:1"]
)
def test_an_endpoint_with_a_password_in_its_address_is_refused(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(UserError, match=r"AWS_ENDPOINT_URL .* holds a user or password") as told:
        Store.open("s3://bucket/store")
    assert ADDRESS not in str(told.value)


@pytest.mark.fault(52)
def test_a_server_that_tells_secrets_back_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the message nor in what a traceback shows as its cause."""
    values = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "canary-secret-1c7d"}
    for name, value in (values | CANARIES).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    echo = f"{values['AWS_SECRET_ACCESS_KEY']}, {CANARIES['AWS_SESSION_TOKEN']}"
    with faulty.faulty_s3(1, "bucket") as proxy:
        proxy.plan = faulty.always(Answer(403, "SignatureDoesNotMatch", echo))
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(StoreError, match=r"SignatureDoesNotMatch: .*: \*\*\*, \*\*\*") as told:
            Store.open("s3://bucket/store").get("key")
    assert told.value.__cause__ is None and told.value.__suppress_context__
    assert "canary" not in str(told.value) and urlsplit(proxy.url).port


@pytest.mark.fault(52)
def test_a_password_in_the_address_of_mlflow_goes_where_mlflow_expects_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{ADDRESS}%21@127.0.0.1:1/x")
    assert tracking.tracking_uri() == "http://127.0.0.1:1/x" == os.environ["MLFLOW_TRACKING_URI"]
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == f"{ADDRESS}!"
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as told:
        tracking.ping(1)
    assert ADDRESS not in str(told.value)
