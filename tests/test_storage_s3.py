"""Large objects on a real S3 server: ranges of one version, parts that add up, bounded retries."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from geovr import storage_s3, storage_s3_client, storage_s3_failures
from geovr.errors import StoreError
from geovr.storage import S3Backend, Store
from tests.slow_proxy import Network, slow_proxy

PREFIX = "s3://bucket/large"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    yield moto.get_host_and_port()
    moto.stop()


@pytest.fixture
def network(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """The way to the server; small ranges and parts, so that small objects count as large."""
    network = Network()
    with slow_proxy(*server, network) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setattr(storage_s3, "RANGE_BYTES", 1000)
        monkeypatch.setattr(storage_s3, "MULTIPART_BYTES", 6 << 20)
        monkeypatch.setattr(storage_s3, "_PART_BYTES", 5 << 20)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield network


@pytest.fixture
def backend(network: Network) -> S3Backend:
    return S3Backend(PREFIX)


def content(size: int, start: int = 0) -> bytes:
    """Bytes whose every range differs from every other."""
    numbers = range(start, start + size // 4 + 1)
    return b"".join(number.to_bytes(4, "big") for number in numbers)[:size]


def asked(backend: S3Backend, operation: str = "GetObject") -> list[tuple[str | None, str | None]]:
    """Range and If-Match of each request from now on, retries included."""
    seen: list[tuple[str | None, str | None]] = []

    def note(request: Any, **_: Any) -> None:
        told = [request.headers.get(name) for name in ("Range", "If-Match")]
        one, other = (v.decode() if isinstance(v, bytes) else v for v in told)
        seen.append((one, other))

    backend.client.meta.events.register(f"before-send.s3.{operation}", note)
    return seen


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 25_500])
def test_an_object_of_any_size_is_read_by_ranges_of_one_version(
    backend: S3Backend, size: int
) -> None:
    data = content(size)
    backend.write("object", data)
    seen = asked(backend)
    assert backend.read("object") == data
    if size == 0:
        return
    assert len(seen) == -(-size // 1000)
    assert seen[0] == ("bytes=0-999", None)
    rest = {f"bytes={start}-{min(start + 1000, size) - 1}" for start in range(1000, size, 1000)}
    assert {text for text, _ in seen[1:]} == rest
    assert all(version for _, version in seen[1:])


def test_a_missing_object_is_none(backend: S3Backend) -> None:
    assert backend.read("nothing") is None


def test_an_object_that_changes_between_its_ranges_is_read_again(backend: S3Backend) -> None:
    old, new = content(5000), content(4000, start=10_000)
    backend.write("object", old)
    other, replaced = S3Backend(PREFIX), []

    def replace(request: Any, **_: Any) -> None:
        if "If-Match" in request.headers and not replaced:
            replaced.append(True)
            other.write("object", new)

    backend.client.meta.events.register("before-send.s3.GetObject", replace)
    assert backend.read("object") == new
    assert replaced


def test_an_object_that_never_stays_the_same_is_an_error(backend: S3Backend) -> None:
    backend.write("object", content(1500))
    other, turns = S3Backend(PREFIX), iter(range(1, 1000))

    def replace(request: Any, **_: Any) -> None:
        if "If-Match" in request.headers:
            other.write("object", content(1500, start=next(turns)))

    backend.client.meta.events.register("before-send.s3.GetObject", replace)
    with pytest.raises(StoreError, match="object: was replaced during each of 5 reads"):
        backend.read("object")


@pytest.mark.parametrize("size", [900, 500_000])
def test_connections_lost_while_a_body_arrives_cost_only_time(
    network: Network, backend: S3Backend, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_s3, "RANGE_BYTES", 100_000)
    data = content(size)
    backend.write("object", data)
    seen = asked(backend)
    network.lost_after = [600, 600] if size == 900 else [600, 70_000, 900]
    backend.client.close()
    assert backend.read("object") == data
    assert network.lost_after == [] and len(seen) > -(-size // 100_000)


def test_a_network_that_stays_away_is_an_error_after_bounded_tries(
    network: Network, backend: S3Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_s3_failures.time, "sleep", lambda _: None)
    backend.write("object", content(900))
    seen = asked(backend)
    network.lost_after = [600] * 1000
    backend.client.close()
    with pytest.raises(StoreError, match=r"object: .*(broken|ncomplete|closed|timeout)"):
        backend.read("object")
    assert len(seen) == storage_s3_client.ATTEMPTS


def test_a_long_object_is_written_in_parts_that_carry_their_sha256(
    backend: S3Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[str] = []

    def note(request: Any, **_: Any) -> None:
        parts.append(str({k.lower(): v for k, v in request.headers.items()}))

    backend.client.meta.events.register("before-send.s3.UploadPart", note)
    monkeypatch.setattr(storage_s3, "RANGE_BYTES", 8 << 20)
    data = content(11 << 20)
    backend.write("long", data)
    assert len(parts) == 3 and all("x-amz-checksum-sha256" in part for part in parts)
    assert S3Backend(PREFIX).read("long") == data


def test_a_failing_part_aborts_the_upload_and_leaves_the_old_object(backend: S3Backend) -> None:
    backend.write("long", b"old")

    def refuse(request: Any, **_: Any) -> None:
        if "partNumber=2" in request.url:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "UploadPart")

    backend.client.meta.events.register("before-send.s3.UploadPart", refuse)
    with pytest.raises(StoreError, match=r"s3://bucket/.*: AccessDenied.*credentials"):
        backend.write("long", content(11 << 20))
    assert "Uploads" not in backend.client.list_multipart_uploads(Bucket="bucket")
    assert S3Backend(PREFIX).read("long") == b"old"


def test_a_store_goes_to_another_process_without_secrets(network: Network) -> None:
    store = Store.open(PREFIX)
    digest = store.put("object", b"data")
    sent = pickle.dumps(store)
    assert b"secret-of-the-test" not in sent and len(sent) < 1000
    assert pickle.loads(sent).get("object", digest) == b"data"  # noqa: S301


def test_many_threads_read_one_store(backend: S3Backend) -> None:
    for number in range(4):
        backend.write(str(number), content(5000, start=number))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda n: backend.read(str(n % 4)), range(32)))
    assert read == [content(5000, start=n % 4) for n in range(32)]
