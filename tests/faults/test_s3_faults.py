"""S3 that fails, refuses, conflicts, or holds uploads that never ended (faults 25 to 27)."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.endpoint
import pytest
from botocore.awsrequest import AWSResponse
from moto.server import ThreadedMotoServer

from geovr.storage import Store, StoreError

ATTEMPTS = 7
"""Of one request: once, and six times more."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Store:
    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    # pauses between tries have their jitter from botocore; they are not what is tested
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda seconds: None)
    boto3.client("s3").create_bucket(Bucket="bucket")
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    return Store.open(f"s3://bucket/{name}")


class Raw(io.BytesIO):
    """A body as it comes from the connection."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def answer(status: int, code: str) -> AWSResponse:
    """What S3 answers with an error."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return AWSResponse("http://127.0.0.1", status, {"Content-Length": str(len(body))}, Raw(body))


def inject(
    store: Store, operation: str, fault: Callable[[], AWSResponse], times: int
) -> list[str | None]:
    """Answer the first requests of an operation instead of the server; all tries are noted."""
    seen: list[str | None] = []

    def send(request: Any, **_: Any) -> AWSResponse | None:
        seen.append(request.headers.get("If-None-Match"))
        return fault() if len(seen) <= times else None

    client = store.backend.client  # type: ignore[attr-defined]
    client.meta.events.register(f"before-send.s3.{operation}", send)
    return seen


FAILING = [(500, "InternalError"), (503, "SlowDown"), (503, "ServiceUnavailable")]


@pytest.mark.fault(25)
@pytest.mark.parametrize(("status", "code"), FAILING)
def test_a_server_that_fails_for_a_while_costs_only_time(
    store: Store, status: int, code: str
) -> None:
    for operation, act in (
        ("PutObject", lambda: store.put("key", b"data")),
        ("GetObject", lambda: store.get("key")),
        ("HeadObject", lambda: store.exists("key")),
        ("ListObjectsV2", lambda: store.keys("")),
        ("DeleteObject", lambda: store.remove("other")),
    ):
        seen = inject(store, operation, lambda: answer(status, code), times=3)
        act()
        assert len(seen) == 4
    assert store.get("key") == b"data" and store.keys("") == ["key"]


@pytest.mark.fault(25)
@pytest.mark.parametrize(("status", "code"), FAILING)
def test_a_server_that_goes_on_failing_is_asked_so_often_and_no_more(
    store: Store, status: int, code: str
) -> None:
    store.put("key", b"old")
    seen = inject(store, "PutObject", lambda: answer(status, code), times=1000)
    with pytest.raises(StoreError, match=f"s3://bucket/.*/key: {code}"):
        store.put("key", b"new")
    assert len(seen) == ATTEMPTS
    seen = inject(store, "GetObject", lambda: answer(status, code), times=ATTEMPTS)
    with pytest.raises(StoreError, match=f"s3://bucket/.*/key: {code}"):
        store.get("key")
    assert len(seen) == ATTEMPTS
    assert store.get("key") == b"old"


@pytest.mark.fault(25)
def test_what_is_missing_or_forbidden_is_asked_for_once(store: Store) -> None:
    seen = inject(store, "GetObject", lambda: answer(404, "NoSuchKey"), times=1)
    with pytest.raises(StoreError, match="key: no such object"):
        store.get("key")
    assert len(seen) == 1
    seen = inject(store, "GetObject", lambda: answer(403, "AccessDenied"), times=1)
    with pytest.raises(StoreError, match=r"s3://bucket/.*: AccessDenied.*credentials"):
        store.get("key")
    assert len(seen) == 1


@pytest.mark.fault(25)
def test_another_body_than_was_written_is_refused_by_name(store: Store) -> None:
    digest = store.put("key", b"data")
    store.backend.write("key", b"dat?")
    with pytest.raises(StoreError, match=r"key: damaged: its sha256 is .*, the index says"):
        Store(store.backend).get("key", digest)


@pytest.mark.fault(25)
def test_a_body_that_was_changed_on_its_way_is_not_taken_by_the_server(store: Store) -> None:
    """Every write carries its sha256, with which the server compares what arrives."""
    sent: list[str] = []

    def note(request: Any, **_: Any) -> None:
        value = request.headers["x-amz-checksum-sha256"]
        sent.append(value.decode() if isinstance(value, bytes) else value)

    store.backend.client.meta.events.register("before-send.s3.PutObject", note)  # type: ignore[attr-defined]
    store.put("key", b"data")
    store.put_new("new", b"data")
    assert sent == [base64.b64encode(hashlib.sha256(b"data").digest()).decode()] * 2


@pytest.mark.fault(26)
def test_a_conflict_is_asked_again_and_a_loser_reads_the_winner(store: Store) -> None:
    seen = inject(store, "PutObject", lambda: answer(409, "ConditionalRequestConflict"), times=2)
    assert store.put_new("key", b"mine") == b"mine"
    assert len(seen) == 3 and all(seen)
    other = Store.open(store.uri)
    assert other.put_new("key", b"theirs") == b"mine"
    seen = inject(other, "PutObject", lambda: answer(412, "PreconditionFailed"), times=1)
    assert other.put_new("key", b"theirs") == b"mine" and len(seen) == 1


@pytest.mark.fault(27)
def test_an_upload_that_never_ended_is_not_there_and_is_removed(store: Store) -> None:
    client = store.backend.client  # type: ignore[attr-defined]
    prefix = store.uri.rpartition("/")[2]
    for key in ("key", "other/key"):
        place = {"Bucket": "bucket", "Key": f"{prefix}/{key}"}
        upload = client.create_multipart_upload(**place)["UploadId"]
        client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"part")

    def uploads() -> list[str]:
        found = client.list_multipart_uploads(Bucket="bucket", Prefix=prefix).get("Uploads", [])
        return [str(upload["Key"]) for upload in found]

    assert len(uploads()) == 2
    assert not store.exists("key") and store.keys("") == [] and store.size("key") is None
    with pytest.raises(StoreError, match="no such object"):
        store.get("key")
    assert store.put_new("key", b"whole") == b"whole" == store.get("key")
    store.remove_partial("other")
    assert uploads() == [f"{prefix}/key"]
    store.remove_partial("")
    assert uploads() == [] and store.get("key") == b"whole"
