"""Objects kept on this disk: verified at every read, within the bound, by many processes."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from geovr.errors import StoreError
from geovr.object_cache import ObjectCache
from geovr.storage import Store, sha256_bytes
from tests.workspace import REPOSITORY


def kept(directory: Path) -> dict[str, int]:
    """Digest -> bytes of every file but the counter and the temporary ones."""
    return {path.name: path.stat().st_size for path in directory.glob("??/*") if not path.suffix}


def data(number: int, size: int = 1000) -> bytes:
    return bytes([number % 256]) * size


def put(cache: ObjectCache, number: int) -> str:
    sha256 = sha256_bytes(data(number))
    cache.put(sha256, data(number))
    return sha256


def age(cache: ObjectCache, sha256: str, seconds: int) -> None:
    os.utime(cache.directory / sha256[:2] / sha256, (1e9 - seconds, 1e9 - seconds))


def test_bytes_come_back_and_others_do_not(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "cache", 10_000)
    sha256 = put(cache, 1)
    assert cache.get(sha256) == data(1)
    assert ObjectCache(tmp_path / "cache", 10_000).get(sha256) == data(1)
    assert cache.get(sha256_bytes(b"never put")) is None


def test_the_files_used_longest_ago_leave_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, 5000)
    digests = [put(cache, number) for number in range(5)]
    for number, sha256 in enumerate(digests):
        age(cache, sha256, 100 - number)
    assert cache.get(digests[0]) == data(0)  # used just now
    last = put(cache, 5)
    # room is made down to nine tenths of the bound, so not every write has to look
    assert set(kept(tmp_path)) == {digests[0], digests[3], digests[4], last}


@pytest.mark.parametrize("bound", [0, 999])
def test_what_exceeds_the_bound_is_not_kept(tmp_path: Path, bound: int) -> None:
    cache = ObjectCache(tmp_path / "cache", bound)
    assert cache.get(put(cache, 1)) is None
    assert kept(tmp_path / "cache") == {}


def test_the_bound_holds_after_every_write_and_whatever_a_kill_left(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, 10_000)
    for number in range(20):
        put(cache, number)
        assert sum(kept(tmp_path).values()) <= 10_000
    (tmp_path / "size").write_text("")  # its writer died in the middle
    (tmp_path / "ab").mkdir(exist_ok=True)
    abandoned = tmp_path / "ab" / f"{'ab' * 32}.tmp"
    abandoned.write_bytes(bytes(5000))
    for number in range(20, 40):
        put(cache, number)
        assert sum(kept(tmp_path).values()) <= 10_000
    assert not abandoned.exists()
    assert int((tmp_path / "size").read_text()) == sum(kept(tmp_path).values())


FILL = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from geovr.object_cache import ObjectCache
    from geovr.storage import sha256_bytes
    cache, first = ObjectCache(Path(sys.argv[1]), 20_000), int(sys.argv[2])
    sys.stdin.readline()
    for number in range(first, first + 100):
        data = bytes([number]) * 1000
        cache.put(sha256_bytes(data), data)
        assert cache.get(sha256_bytes(data)) in (data, None)
    """
)


def test_processes_that_fill_it_at_once_keep_the_bound(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FILL, str(tmp_path), first],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )
        for first in ("0", "50", "100")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    most = 0
    while any(process.poll() is None for process in processes):
        with (tmp_path / "size").open("a") as lock:  # a view of one moment
            fcntl.flock(lock, fcntl.LOCK_EX)
            most = max(most, sum(kept(tmp_path).values()))
    for process in processes:
        assert process.communicate()[1] == "" and process.returncode == 0
    assert 0 < most <= 20_000
    assert int((tmp_path / "size").read_text()) == sum(kept(tmp_path).values())
    cache = ObjectCache(tmp_path, 20_000)
    assert all(cache.get(sha256) is not None for sha256 in kept(tmp_path))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_told_once(
    tmp_path: Path,
    error: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = ObjectCache(tmp_path, 10_000)
    before = put(cache, 1)

    def refuse(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(error, os.strerror(error), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        assert [cache.get(put(cache, number)) for number in (2, 3)] == [None, None]
    assert len(caplog.records) == 1
    assert os.strerror(error) in caplog.text and "train.disk_cache_gb: 0" in caplog.text
    assert cache.get(before) == data(1)
    assert not list(tmp_path.glob("??/*.tmp"))


@pytest.fixture
def distant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield Store.open("s3://bucket/store")
    server.stop()


def test_a_store_reads_an_object_once_and_a_damaged_file_again(
    distant: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ObjectCache(tmp_path, 10_000)
    store = distant.cached(cache)
    sha256 = distant.put("a", data(1))
    assert store.get("a", sha256) == data(1)
    distant.remove("a")
    assert store.get("a", sha256) == data(1)

    file = tmp_path / sha256[:2] / sha256
    file.write_bytes(data(1)[:-1] + b"!")
    with pytest.raises(StoreError, match="no such object"):
        store.get("a", sha256)
    assert f"{file}: damaged on this disk" in caplog.text and not file.exists()
    distant.put("a", data(1))
    assert store.get("a", sha256) == data(1) and file.read_bytes() == data(1)


def test_damaged_bytes_of_the_store_are_refused_at_every_read_and_not_kept(
    distant: Store, tmp_path: Path
) -> None:
    store = distant.cached(ObjectCache(tmp_path, 10_000))
    sha256 = distant.put("a", data(1))
    store.get("a", sha256)
    (tmp_path / sha256[:2] / sha256).unlink()
    distant.backend.write("a", data(2))
    with pytest.raises(StoreError, match="a: damaged"):
        store.get("a", sha256)
    assert kept(tmp_path) == {}


def test_objects_without_a_digest_and_stores_of_this_disk_are_not_kept(
    distant: Store, tmp_path: Path
) -> None:
    cache = ObjectCache(tmp_path / "cache", 10_000)
    distant.put("a", data(1))
    assert distant.cached(cache).get("a") == data(1)
    local = Store.open(str(tmp_path / "store"))
    assert local.cached(cache) is local
    assert not (tmp_path / "cache").exists()
