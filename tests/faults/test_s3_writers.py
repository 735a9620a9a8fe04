"""Writers of one key on a real S3 server: two at once, killed half-way, without conditions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from geovr.errors import StoreError
from tests.faults.faulty_s3 import (
    Answer,
    Hold,
    always,
    times,
)
from tests.faults.s3_place import NEW, OLD, PART, Place
from tests.workspace import REPOSITORY

pytestmark = pytest.mark.servers


@pytest.mark.fault(26)
def test_conflicts_that_pass_are_waited_for_and_others_are_told(
    place: Place, pauses: list[float]
) -> None:
    conflict = Answer(409, "ConditionalRequestConflict")
    place.proxy.plan = times(3, conflict)
    assert place.store.put_new("key", NEW) == NEW == place.around.get("key")
    assert len(place.proxy.asked) == 4 and len(pauses) == 3 and len(set(pauses)) == 3
    place.proxy.plan = always(conflict)
    with pytest.raises(StoreError, match="other: ConditionalRequestConflict: another writer"):
        place.store.put_new("other", NEW)
    # what another writer may be writing is never overwritten
    assert not place.around.exists("other")
    assert all("if-none-match" in one.headers for one in place.proxy.of("PutObject"))


@pytest.mark.fault(26)
def test_a_server_without_conditions_is_asked_what_is_there(place: Place) -> None:
    place.proxy.plan = lambda asked: (
        Answer(501, "NotImplemented") if "if-none-match" in asked.headers else None
    )
    assert place.store.put_new("key", OLD) == OLD
    assert place.store.put_new("key", NEW) == OLD == place.around.get("key")


WRITER = f"""
import sys
from geovr import storage_s3
from geovr.storage import Store, sha256_bytes

storage_s3.MULTIPART_BYTES = storage_s3._PART_BYTES = {PART}
uri, how, key, letter, size = sys.argv[1:]
data = letter.encode() * int(size)
store = Store.open(uri)
print("ready", flush=True)
sys.stdin.readline()
if how == "put":
    store.put(key, data)
else:
    print(store.put_new(key, data)[:1].decode(), flush=True)
"""


def writer(place: Place, how: str, key: str, letter: str, size: int) -> subprocess.Popen[str]:
    """A process that writes so many bytes of one letter when it is told to."""
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, place.store.uri, how, key, letter, str(size)],
        env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def tell(process: subprocess.Popen[str]) -> None:
    """To write now."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.fault(26)
@pytest.mark.parametrize("conflicts", [0, 2], ids=["at once", "with conflicts"])
def test_two_processes_write_one_key_and_go_on_with_one_object(
    conflicts: int, place: Place
) -> None:
    conflict = times(conflicts, Answer(409, "ConditionalRequestConflict"), "PutObject")
    holds = [Hold(), Hold()]
    left = iter(holds)
    place.proxy.plan = lambda asked: (
        conflict(asked) or next(left, None) if asked.operation == "PutObject" else None
    )
    pair = [writer(place, "put_new", "key", letter, 1 << 20) for letter in "ab"]
    for process in pair:
        tell(process)
    for hold in holds:
        assert hold.held.wait(60)
    for hold in holds:
        hold.go.set()
    told = [process.communicate(timeout=60)[0].strip() for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    there = place.around.get("key")
    assert len(there) == 1 << 20 and set(told) == {there[:1].decode()}


@pytest.mark.fault(22, 27)
@pytest.mark.parametrize("before", [None, OLD], ids=["new", "replaced"])
def test_killed_in_an_upload_in_parts_it_left_nothing_to_see(
    before: bytes | None, place: Place
) -> None:
    if before is not None:
        place.around.put("long", before)
    hold = Hold()
    place.proxy.plan = lambda asked: hold if asked.part == 2 else None
    process = writer(place, "put", "long", "a", PART + 8)
    tell(process)
    assert hold.held.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    hold.go.set()
    assert place.uploads() == ["long"]
    assert place.store.size("long") == (None if before is None else len(before))
    assert place.store.keys("") == ([] if before is None else ["long"])
    place.proxy.plan = lambda asked: None
    again = writer(place, "put", "long", "b", PART + 8)
    tell(again)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert place.store.get("long") == b"b" * (PART + 8)
    # of the killed one; the bucket's rule or the next run removes it
    assert place.uploads() == ["long"]
    place.store.remove_partial("")
    assert place.uploads() == [] and place.store.size("long") == PART + 8
