"""A place on a real S3 server, seen through a network and a server that fail, and around them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from geovr import storage_s3
from geovr.storage import Store
from infra.local.s3 import BUCKET
from infra.local.servers import Servers
from tests.faults import faulty_s3 as faulty
from tests.faults.faulty_s3 import (
    FaultyS3,
    Late,
    Stall,
)

RANGE, PART = 100_000, 5 << 20
TIMEOUT_S = 0.8
"""Only where a server doesn't answer: a busy machine is slow without any fault."""
OLD, NEW = b"old" * 1000, b"new" * 2000
LARGE = b"".join(number.to_bytes(4, "big") for number in range(450_000 // 4))
LONG = b"".join(number.to_bytes(8, "big") for number in range(PART // 8 + 1))
MANY = [f"many/{number}" for number in range(3)]


@dataclass
class Place:
    """A prefix of a test's own.

    Attributes:
        store: through the proxy.
        around: the same prefix, not through the proxy.
        cache: of objects, on this disk.
    """

    proxy: FaultyS3
    store: Store
    around: Store
    cache: Path

    def uploads(self) -> list[str]:
        """Keys of uploads in parts that have not ended."""
        client, prefix = self.around.backend.client, self.around.uri.rpartition("/")[2]  # type: ignore[attr-defined]
        found = client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
        return [str(upload["Key"]).removeprefix(f"{prefix}/") for upload in found]

    def begin_upload(self, key: str) -> None:
        """What a killed writer leaves."""
        client, prefix = self.around.backend.client, self.around.uri.rpartition("/")[2]  # type: ignore[attr-defined]
        place = {"Bucket": BUCKET, "Key": f"{prefix}/{key}"}
        upload = client.create_multipart_upload(**place)["UploadId"]
        client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"part")


@pytest.fixture(scope="module")
def proxy(servers: Servers) -> Iterator[FaultyS3]:
    with faulty.faulty_s3(servers.objects.port, BUCKET) as made:
        yield made


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between tries as they were asked for; a thousandth of each is waited."""
    asked: list[float] = []
    wait = time.sleep

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        wait(seconds / 1000)

    monkeypatch.setattr(time, "sleep", sleep)
    return asked


@pytest.fixture
def place(
    proxy: FaultyS3, on_servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Place:  # fmt: skip
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and isinstance(callspec.params.get("fault"), Late | Stall):
        monkeypatch.setenv("GEOVR_S3_TIMEOUT_S", str(TIMEOUT_S))
    # small objects count as large
    for name, value in (
        ("RANGE_BYTES", RANGE), ("MULTIPART_BYTES", PART), ("_PART_BYTES", PART), ("_PAGE_KEYS", 2)
    ):  # fmt: skip
        monkeypatch.setattr(storage_s3, name, value)
    uri = f"s3://{BUCKET}/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    around = Store.open(uri)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    proxy.plan = lambda asked: None
    proxy.forget()
    return Place(proxy, Store.open(uri), around, tmp_path / "cache")
