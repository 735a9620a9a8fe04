"""The store, on a directory and on a real S3 server in this process: atomic, verified, named."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from geovr.errors import UserError
from geovr.storage import LocalBackend, Store, StoreError, localise, write_atomic


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield "s3://bucket/some/prefix"
    patch.undo()
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store.open(str(tmp_path / "store"))
    return Store.open(f"{request.getfixturevalue('s3')}/{tmp_path.name}")


def test_objects_come_back_and_are_listed(store: Store) -> None:
    digest = store.put("a/b/one.bin", b"one")
    store.put("a/two.bin", b"two")
    assert store.get("a/b/one.bin", digest) == b"one"
    assert store.keys("a") == ["a/b/one.bin", "a/two.bin"]
    assert store.size("a/two.bin") == 3
    store.remove("a/two.bin")
    assert not store.exists("a/two.bin")
    store.remove("a/two.bin")


@pytest.mark.fault(28)
def test_a_missing_object_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match=r"nothing\.bin: no such object"):
        store.get("nothing.bin")


@pytest.mark.fault(24)
def test_a_damaged_object_is_refused_by_name(store: Store) -> None:
    digest = store.put("data.bin", b"right")
    store.backend.write("data.bin", b"wrong")
    with pytest.raises(StoreError, match=r"data\.bin: damaged"):
        Store(store.backend).get("data.bin", digest)


def test_a_directory_makes_the_round_trip(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_atomic(source / "x" / "y.txt", b"y")
    write_atomic(source / "z.txt", b"z")
    files = store.put_directory("model", source)
    back = store.get_directory("model", files, tmp_path / "back")
    assert {p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*.txt")} == {
        "x/y.txt": b"y",
        "z.txt": b"z",
    }


def test_a_prefix_becomes_a_local_directory(s3: str, tmp_path: Path) -> None:
    Store.open(f"{s3}/videos").put("rooms/a.mp4", b"a")
    assert (localise(f"{s3}/videos", tmp_path / "here") / "rooms/a.mp4").read_bytes() == b"a"
    with pytest.raises(UserError, match="nothing is stored"):
        localise(f"{s3}/empty", tmp_path / "there")


@pytest.mark.fault(16)
def test_a_key_can_not_leave_the_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves the store"):
        LocalBackend(tmp_path / "store").write("../outside", b"x")


@pytest.mark.fault(22)
def test_a_kill_at_any_moment_of_a_write_leaves_old_or_new(tmp_path: Path) -> None:
    """The process dies before each system call of the write in turn."""
    target = tmp_path / "file.bin"
    program = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from geovr import storage
        count, die_at = 0, int(sys.argv[2])
        def dying(real):
            def call(*args, **kwargs):
                global count
                count += 1
                if count == die_at:
                    os._exit(9)
                return real(*args, **kwargs)
            return call
        os.fsync = dying(os.fsync)
        Path.replace = dying(Path.replace)
        Path.open = dying(Path.open)
        storage.write_atomic(Path(sys.argv[1]), b"new" * 1000)
        """
    )
    outcomes = set()
    for die_at in range(1, 8):
        target.write_bytes(b"old")
        code = subprocess.run(
            [sys.executable, "-c", program, str(target), str(die_at)],
            env=dict(os.environ),
            check=False,
        ).returncode
        content = target.read_bytes()
        assert content in (b"old", b"new" * 1000)
        outcomes.add((code, content[:3]))
        if code == 0:
            break
    assert {(9, b"old"), (9, b"new"), (0, b"new")} <= outcomes


@pytest.mark.fault(26)
def test_of_two_writers_of_a_new_object_the_first_wins(store: Store) -> None:
    assert store.put_new("a/new.bin", b"first") == b"first"
    assert store.put_new("a/new.bin", b"second") == b"first"
    assert store.get("a/new.bin") == b"first"
    store.put("a/new.bin", b"third")
    assert store.get("a/new.bin") == b"third"
    assert store.keys("a") == ["a/new.bin"]


@pytest.mark.fault(26)
def test_writers_at_once_agree_on_one_object(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        offered = [bytes([number]) * 1000 for number in range(8)]
        seen = list(pool.map(lambda data: store.put_new("same.bin", data), offered))
    assert set(seen) == {store.get("same.bin")}
    assert store.keys("") == ["same.bin"]


@pytest.mark.fault(26)
def test_a_listing_beside_somebody_who_removes_shows_what_stays(tmp_path: Path) -> None:
    """Another process cleans up or writes while this one looks, as the ranks of a training do."""
    store = Store.open(str(tmp_path / "store"))
    store.put("steps/kept", b"x")
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for number in range(20):
                store.put(f"steps/{number}/a", b"x")
            for number in range(20):
                store.remove(f"steps/{number}/a")

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(1500):
            assert "steps/kept" in store.keys("steps")
            store.remove("steps/7/a")
            store.remove_partial("nothing/there")
    finally:
        ended.set()
        other.join()
    assert store.keys("steps") == ["steps/kept"]
