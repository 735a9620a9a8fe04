"""The store and artifacts: killed, full, flipped, misdated (faults 22 to 24, 29 and 30)."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.target_format import TargetFormat
from geovr.errors import UserError
from geovr.stages.ingest import IngestConfig, ingest
from geovr.storage import Store, StoreError, write_atomic, write_new
from geovr.teachers import extraction
from tests.media import write_video
from tests.workspace import environment

FOUR = [0.5 * n for n in range(4)]


def run(root: Path, store: str = "store") -> ClipSet:
    config = IngestConfig(store=str(root / store), videos=str(root / "videos"), workers=1)
    return ingest(config, output=root / "clips")


def state(root: Path) -> str:
    """The digest of the artifact that stands, `none` where a stage has not finished."""
    try:
        return ClipSet.load(root / "clips").digest
    except UserError as error:
        assert "no manifest.json, so the stage" in str(error) or "no such file" in str(error)
        return "none"


KILLED = """
import json, os, sys
from pathlib import Path
from geovr.data import decode_worker
from geovr.data.decode_pool import DecodePool
from geovr.data.video import LimitsConfig
from geovr.stages.ingest import IngestConfig, ingest
import av, pandas, pyarrow.parquet

def decode(self, paths, *, images):
    # a decoding process writes no file, so it is not what dies here
    job = {"paths": paths, "images": images, "sampler": self.sampler.model_dump()}
    return decode_worker.answer(job, LimitsConfig())[1]

DecodePool.decode = decode
done, die_at = 0, 0

def dying(real):
    def call(*args, **kwargs):
        global done
        done += 1
        if done == die_at:
            os._exit(9)
        return real(*args, **kwargs)
    return call

os.fsync, os.link = dying(os.fsync), dying(os.link)
for name in ("open", "replace", "unlink"):
    setattr(Path, name, dying(getattr(Path, name)))

def child(root, number):
    # a forked process dies as a killed one does: nothing is unwound
    global die_at
    pid = os.fork()
    if pid == 0:
        die_at = number
        values = {"store": f"{root}/store", "videos": f"{root}/videos", "workers": 1}
        ingest(IngestConfig(**values), output=Path(root) / "clips")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for line in sys.stdin:
    print(child(*json.loads(line)), flush=True)
"""


class Killing:
    """A process that runs ingest in children of its own, which die where they are told to."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KILLED], env=environment(root), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, root: Path, die_at: int) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(root), die_at]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.mark.fault(22)
def test_killed_at_every_write_ingest_leaves_old_new_or_none(tmp_path: Path) -> None:
    """The old artifact has one clip, the new one two; one of the old one's goes."""
    before, after = tmp_path / "before", tmp_path / "after"
    write_video(before / "videos/a.mp4", FOUR)
    old = run(before).digest
    write_video(before / "videos/b.mp4", FOUR[:3])
    shutil.copytree(before, after)
    new = run(after).digest
    whole = set(Store.open(str(after / "store")).keys(""))
    killing, seen, number = Killing(tmp_path), set(), 0
    try:
        while True:
            number += 1
            root = tmp_path / f"killed-{number}"
            shutil.copytree(before, root)
            code = killing.run(root, number)
            stands = state(root)
            assert stands in (old, new, "none"), number
            seen.add(stands)
            for key in Store.open(str(root / "store")).keys(""):
                assert (root / "store" / key).read_bytes() == (after / "store" / key).read_bytes()
            if code == 0:
                break
            assert code == 9
            assert killing.run(root, 0) == 0
            assert state(root) == new, number
            assert set(Store.open(str(root / "store")).keys("")) == whole
    finally:
        killing.process.kill()
        killing.process.communicate()
    assert seen == {old, new, "none"} and number > 15


CODES = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS]


@pytest.mark.fault(23)
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("write", [write_atomic, write_new])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(
    call: str, write: Callable[[Path, bytes], Any], code: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / "file.bin"
    if write is write_atomic:
        path.write_bytes(b"old")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            patch.setattr(Path, call, fail)
        if call == "replace":
            patch.setattr(os, "link", fail)
        with pytest.raises(StoreError, match=rf"file\.bin: can't be written: {os.strerror(code)}"):
            write(path, b"new")
    left = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert left == ({"file.bin": b"old"} if write is write_atomic else {})


def failing(real: Callable[..., Any], number: int, code: int) -> Callable[..., Any]:
    """A call that fails once, at its n-th time."""
    calls = itertools.count(1)

    def call(*args: Any) -> Any:
        if next(calls) == number:
            raise OSError(code, os.strerror(code))
        return real(*args)

    return call


@pytest.mark.fault(23)
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_full_disk_ends_ingest_by_name_and_the_next_run_completes(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every write in turn."""
    write_video(tmp_path / "videos/a.mp4", FOUR)
    digest = run(tmp_path, "elsewhere").digest
    shutil.rmtree(tmp_path / "clips")
    failures = 0
    while True:
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", failing(os.fsync, failures + 1, code))
                run(tmp_path)
            break
        except StoreError as error:
            assert os.strerror(code) in str(error) and str(tmp_path) in str(error)
            failures += 1
            assert state(tmp_path) in ("none", digest)
    assert failures > 3 and state(tmp_path) == digest


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ingested folder of two videos; never changed."""
    root = tmp_path_factory.mktemp("sound")
    write_video(root / "videos/a.mp4", FOUR)
    write_video(root / "videos/b.mp4", FOUR[:3])
    run(root)
    return root


@pytest.mark.fault(24)
def test_a_bit_flipped_in_the_manifest_is_found(sound: Path, tmp_path: Path) -> None:
    """Every byte of it; blanks and line ends between values may change to others."""
    shutil.copytree(sound / "clips", tmp_path / "clips")
    path = tmp_path / "clips/manifest.json"
    data = path.read_bytes()
    whole = ClipSet.load(tmp_path / "clips").manifest
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = ClipSet.load(tmp_path / "clips").manifest
        except UserError as error:
            assert "manifest.json" in str(error)
            continue
        assert found == whole and data[place : place + 1].isspace(), place


@pytest.mark.fault(24)
@pytest.mark.parametrize("name", ["index.parquet", "questions.parquet", "quarantine.parquet"])
def test_a_bit_flipped_in_an_index_is_found(name: str, sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / "clips", tmp_path / "clips")
    path = tmp_path / "clips" / name
    data = path.read_bytes()
    for place in range(0, len(data), 41):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(UserError, match=f"{name}: missing or changed since it was written"):
            ClipSet.load(tmp_path / "clips")


@pytest.mark.fault(24)
@pytest.mark.parametrize("place", [3, 40, -1], ids=["length", "header", "data"])
def test_a_bit_flipped_in_an_object_costs_that_object(
    place: int, sound: Path, tmp_path: Path
) -> None:
    for name in ("videos", "store"):
        shutil.copytree(sound / name, tmp_path / name)
    clips = run(tmp_path)
    assert clips.manifest.details["decoded"] == 0
    row = clips.index.iloc[0]
    path = tmp_path / "store" / row.object_key
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[place] ^= 4
    path.write_bytes(changed)
    with pytest.raises(StoreError, match=rf"{row.object_key}: damaged"):
        read_clip(clips.store, row)
    other = tmp_path / "store" / clips.index.iloc[1].object_key
    stamp = other.stat().st_mtime_ns
    assert run(tmp_path).manifest.details["decoded"] == 1
    assert path.read_bytes() == whole and other.stat().st_mtime_ns == stamp


@pytest.mark.fault(29)
def test_objects_of_another_code_are_made_again_beside_the_old(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("videos", "store"):
        shutil.copytree(sound / name, tmp_path / name)
    first = run(tmp_path)
    before = {key: first.store.get(key) for key in first.index["object_key"]}
    monkeypatch.setattr("geovr.data.clips.CODE_VERSION", 99)
    again = run(tmp_path)
    assert again.manifest.details["decoded"] == 2
    keys = before.keys() | set(again.index["object_key"])
    assert keys == set(first.store.keys("clips")) and len(keys) == 4
    assert all(again.store.get(key) == data for key, data in before.items())


def teacher_key(
    monkeypatch: pytest.MonkeyPatch, *, key: str = "k", weights: str = "w", code: int = 2,
    format: TargetFormat | None = None,
) -> str:  # fmt: skip
    """Of a teacher with these properties."""
    monkeypatch.setattr(extraction, "CODE_VERSION", code)
    card = SimpleNamespace(weights_digest=weights)
    teacher: Any = SimpleNamespace(key=lambda: key, card=card)
    store = Store.open("none")
    return extraction.Extraction(
        teacher, format or TargetFormat(), store, store, {}, "digest"
    ).teacher_key


@pytest.mark.fault(29)
def test_targets_of_another_teacher_weights_code_or_format_have_another_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes: list[dict[str, Any]] = [
        {}, {"key": "other"}, {"weights": "other"}, {"code": 3},
        {"format": TargetFormat(depth="log_u16")}, {"format": TargetFormat(feature_group=32)},
    ]  # fmt: skip
    keys = [teacher_key(monkeypatch, **change) for change in changes]
    assert len(set(keys)) == len(changes)
    assert teacher_key(monkeypatch) == keys[0]


@pytest.mark.fault(30)
@pytest.mark.parametrize("when", [0, 4_000_000_000], ids=["1970", "2096"])
def test_the_times_of_files_decide_nothing(when: int, sound: Path, tmp_path: Path) -> None:
    for name in ("videos", "store"):
        shutil.copytree(sound / name, tmp_path / name)
    first = run(tmp_path)
    for path in [*tmp_path.rglob("*"), tmp_path]:
        os.utime(path, (when, when))
    again = run(tmp_path)
    assert (again.manifest.details["decoded"], again.digest) == (0, first.digest)
    # what changed is seen though its time says that it is older than its object
    write_video(tmp_path / "videos/a.mp4", FOUR[:2])
    os.utime(tmp_path / "videos/a.mp4", (0, 0))
    assert run(tmp_path).manifest.details["decoded"] == 1


@pytest.mark.fault(30)
def test_a_clock_that_jumps_decides_nothing(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sound / "videos", tmp_path / "videos")
    now = iter(range(4_000_000_000, 0, -86_400 * 365))
    monkeypatch.setattr("time.time", lambda: float(next(now)))
    clips = run(tmp_path)
    monkeypatch.undo()
    assert clips.digest == ClipSet.load(sound / "clips").digest
