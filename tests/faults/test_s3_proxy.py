"""Every operation of a store on a real S3 server, with a network and a server that fail between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pytest

from geovr.errors import LostObject, StoreError
from geovr.object_cache import ObjectCache
from geovr.storage import Store, sha256_bytes
from geovr.storage_s3_client import ATTEMPTS
from tests.faults import faulty_s3 as faulty
from tests.faults.faulty_s3 import (
    Answer,
    Asked,
    Cut,
    Fault,
    Flip,
    Late,
    Plan,
    Reset,
    Stall,
    Trickle,
    always,
    times,
)
from tests.faults.s3_place import LARGE, LONG, MANY, NEW, OLD, RANGE, TIMEOUT_S, Place

pytestmark = pytest.mark.servers


@dataclass(frozen=True)
class Operation:
    """What is done to a store.

    Attributes:
        hit: S3's name of the request that fails.
        key: that it is about.
        act: does it.
        gives: what that gives when it ends well.
        before: what lies at the key before, None when there is nothing.
        after: what lies there when it ended well.
        which: of its requests is hit; all by default.
    """

    hit: str
    key: str
    act: Callable[[Place], object]
    gives: object
    before: bytes | None = OLD
    after: bytes | None = OLD
    which: Callable[[Asked], bool] = lambda asked: True

    def prepare(self, place: Place) -> None:
        if self.before is not None:
            place.around.put(self.key, self.before)
        if self.key == "many":
            for key in MANY:
                place.around.put(key, b"x")
        if self.key == "partial":
            place.begin_upload("partial")

    def plan(self, plan: Plan) -> Plan:
        return lambda asked: (
            plan(asked) if asked.operation == self.hit and self.which(asked) else None
        )

    def tries(self, place: Place) -> int:
        """Of the request that was hit."""
        return len([one for one in place.proxy.of(self.hit) if self.which(one)])


def put_long(place: Place) -> str:
    return place.store.put("long", LONG)


def get_cached(place: Place) -> bytes:
    store = place.store.cached(ObjectCache(place.cache, 1 << 20))
    return store.get("key", sha256_bytes(OLD))


def in_parts(hit: str, which: Callable[[Asked], bool] = lambda asked: True) -> Operation:
    return Operation(hit, "long", put_long, sha256_bytes(LONG), OLD, LONG, which)


def begins_at(byte: int) -> Callable[[Asked], bool]:
    return lambda asked: asked.headers["range"].startswith(f"bytes={byte}-")


def get_large(place: Place) -> bytes:
    return place.store.get("large", sha256_bytes(LARGE))


OPERATIONS = {
    "put": Operation(
        "PutObject", "key", lambda p: p.store.put("key", NEW), sha256_bytes(NEW), OLD, NEW
    ),
    "put_new": Operation(
        "PutObject", "key", lambda p: p.store.put_new("key", NEW), NEW, None, NEW
    ),
    "begin parts": in_parts("CreateMultipartUpload"),
    "put a part": in_parts("UploadPart", lambda asked: asked.part == 2),
    "end parts": in_parts("CompleteMultipartUpload"),
    "get": Operation("GetObject", "key", lambda p: p.store.get("key", sha256_bytes(OLD)), OLD),
    "get cached": Operation("GetObject", "key", get_cached, OLD),
    "first range": Operation(
        "GetObject", "large", get_large, LARGE, LARGE, LARGE, begins_at(0)
    ),
    "third range": Operation(
        "GetObject", "large", get_large, LARGE, LARGE, LARGE, begins_at(2 * RANGE)
    ),
    "size": Operation("HeadObject", "key", lambda p: p.store.size("key"), len(OLD)),
    "exists": Operation("HeadObject", "key", lambda p: p.store.exists("key"), True),
    "second page": Operation(
        "ListObjectsV2", "many", lambda p: p.store.keys("many/"), MANY, None, None,
        lambda asked: "continuation-token" in asked.path,
    ),
    "remove": Operation("DeleteObject", "key", lambda p: p.store.remove("key"), None, OLD, None),
    "list parts": Operation(
        "ListMultipartUploads", "partial", lambda p: p.store.remove_partial(""), None, None, None
    ),
    "abort parts": Operation(
        "AbortMultipartUpload", "partial", lambda p: p.store.remove_partial(""), None, None, None
    ),
}  # fmt: skip

PASSING: dict[str, Fault] = {
    "500": Answer(500, "InternalError"),
    "502": Answer(502, "BadGateway"),
    "503": Answer(503, "SlowDown"),
    "504": Answer(504, "GatewayTimeout"),
    "429": Answer(429, "TooManyRequests"),
    "reset before": Reset(),
    "reset after": Reset(after=True),
    "cut": Cut(reset=True),
    "short": Cut(reset=False),
    "no answer": Late(2 * TIMEOUT_S),
    "stall": Stall(2 * TIMEOUT_S),
    "flip up": Flip(up=True),
    "flip down": Flip(up=False),
}


def combinations(*, stay: bool = False) -> list[object]:
    """Each operation with each fault that it can meet; what takes time with some of them only."""
    found = []
    for name, operation in OPERATIONS.items():
        for told, fault in PASSING.items():
            few = told in ("502", "504") and name not in ("put", "get")
            few |= told == "no answer" and name not in ("put", "put_new", "get", "size", "remove")
            few |= told == "stall" and name not in ("get", "third range", "second page")
            if operation.key == "long":
                few = told not in ("503", "429", "reset before", "reset after", "flip up")
            if stay:
                few |= told in ("no answer", "stall") and name != "get"
                few |= operation.key == "long" and told in ("429", "reset before")
            if faulty.fits(fault, operation.hit) and not few:
                found.append(pytest.param(operation, fault, id=f"{name}, {told}"))
    return found


@pytest.mark.fault(25)
@pytest.mark.parametrize(("operation", "fault"), combinations())
def test_what_passes_costs_only_time_and_only_what_failed_is_asked_again(
    operation: Operation, fault: Fault, place: Place, pauses: list[float]
) -> None:
    operation.prepare(place)
    place.proxy.plan = operation.plan(times(2, fault))
    found = operation.act(place)
    assert found == operation.gives
    whole(operation, place, operation.after)
    asked = Counter(one.same for one in place.proxy.asked)
    # what arrived altered is found when all of it is there
    if fault != Flip(up=False):
        assert sorted(asked.values())[-1] == 3
        assert sorted(asked.values())[:-1] == [1] * (len(asked) - 1)
    assert operation.tries(place) == 3
    assert len(pauses) >= (0 if fault == Flip(up=False) else 2)


def whole(operation: Operation, place: Place, expected: bytes | None) -> None:
    """Nothing torn: seen around the proxy."""
    if operation.hit == "CreateMultipartUpload":
        # one was begun whose name never arrived
        place.around.remove_partial("")
    if expected is None:
        assert not place.around.exists(operation.key)
    else:
        assert place.around.get(operation.key) == expected
    if operation.hit not in ("ListMultipartUploads", "AbortMultipartUpload"):
        assert place.uploads() == []


@pytest.mark.fault(25)
@pytest.mark.parametrize(("operation", "fault"), combinations(stay=True))
def test_what_stays_ends_with_the_key_after_bounded_tries(
    operation: Operation, fault: Fault, place: Place, pauses: list[float]
) -> None:
    operation.prepare(place)
    place.proxy.plan = operation.plan(always(fault))
    with pytest.raises(StoreError, match=f"^{place.store.uri}/.*: .*; ") as told:
        operation.act(place)
    assert str(told.value).count("s3://") == 1
    remedy = "delete the object" if fault == Flip(up=False) else "run the same command again"
    assert remedy in str(told.value)
    if operation.key not in ("many", "partial"):
        assert f"/{operation.key}: " in str(told.value)
    if isinstance(fault, Answer) and operation.hit != "HeadObject":
        assert fault.code in str(told.value)
    assert operation.tries(place) == (3 if fault == Flip(up=False) else ATTEMPTS)
    assert len(pauses) == (0 if fault == Flip(up=False) else ATTEMPTS - 1)
    ends = operation.hit not in ("CreateMultipartUpload", "UploadPart")
    done = ends and fault in (Reset(after=True), PASSING["no answer"])
    place.proxy.plan = lambda asked: None
    whole_after_failure(operation, place, done)


def whole_after_failure(operation: Operation, place: Place, done: bool) -> None:
    """The old, or the new where the server did it and its answer was lost."""
    if operation.key == "partial":
        gone = done and operation.hit == "AbortMultipartUpload"
        assert place.uploads() == ([] if gone else ["partial"])
        return
    found = place.around.get(operation.key) if place.around.exists(operation.key) else None
    assert found == (operation.after if done else operation.before)
    operation.act(place)
    whole(operation, place, operation.after)


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "list parts"])
def test_what_is_refused_is_asked_once(name: str, place: Place) -> None:
    operation = OPERATIONS[name]
    operation.prepare(place)
    place.proxy.plan = operation.plan(always(Answer(403, "AccessDenied")))
    with pytest.raises(StoreError, match=r"s3://.*: (AccessDenied|403): .*; check the credentials"):
        operation.act(place)
    assert operation.tries(place) == 1
    place.proxy.plan = lambda asked: None
    whole_after_failure(operation, place, done=False)


@pytest.mark.fault(25)
def test_who_may_not_list_uploads_leaves_them_to_the_bucket(place: Place) -> None:
    place.begin_upload("partial")
    place.proxy.plan = always(Answer(403, "AccessDenied"))
    place.store.remove_partial("")
    assert place.uploads() == ["partial"] and len(place.proxy.asked) == 1


@pytest.mark.fault(25)
def test_what_is_missing_is_asked_for_once(place: Place) -> None:
    with pytest.raises(LostObject, match="key: no such object"):
        place.store.get("key", sha256_bytes(OLD))
    assert place.store.size("key") is None and not place.store.exists("key")
    assert place.store.keys("key") == []
    place.store.remove("key")
    assert [one.operation for one in place.proxy.asked] == [
        "GetObject", "HeadObject", "HeadObject", "ListObjectsV2", "DeleteObject"
    ]  # fmt: skip
    # some servers say so of a deletion too
    place.proxy.plan = times(1, Answer(404, "NoSuchKey"), "DeleteObject")
    place.store.remove("key")
    place.proxy.plan = always(Answer(404, "NoSuchBucket"))
    place.proxy.forget()
    for act in (
        lambda: place.store.put("key", NEW), lambda: place.store.get("key"),
        lambda: place.store.keys(""), lambda: put_long(place),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=r"NoSuchBucket: .*; create that bucket"):
            act()
    assert len(place.proxy.asked) == 4


@pytest.mark.fault(25)
def test_an_object_in_the_cache_is_read_while_the_server_is_away(place: Place) -> None:
    place.around.put("key", OLD)
    assert get_cached(place) == OLD
    place.proxy.plan = always(Answer(503, "SlowDown"))
    place.proxy.forget()
    assert get_cached(place) == OLD and place.proxy.asked == []


@pytest.mark.fault(25)
@pytest.mark.parametrize("fault", [Trickle(), Late(TIMEOUT_S / 4)])
def test_what_is_slow_but_comes_is_asked_for_once(fault: Fault, place: Place) -> None:
    place.around.put("large", LARGE)
    place.proxy.plan = always(fault)
    assert get_large(place) == LARGE
    assert set(Counter(one.same for one in place.proxy.asked).values()) == {1}


@pytest.mark.fault(25)
def test_an_upload_that_is_gone_when_its_end_is_told_again_is_begun_anew(place: Place) -> None:
    """Its end had come, but not the answer; S3 remembers for a while, other servers don't."""
    ends = iter([Reset(after=True), Answer(404, "NoSuchUpload")])
    place.proxy.plan = lambda asked: (
        next(ends, None) if asked.operation == "CompleteMultipartUpload" else None
    )
    place.store.put("long", LONG)
    assert place.around.get("long") == LONG and place.uploads() == []
    assert len(place.proxy.of("CreateMultipartUpload")) == 2
    place.begin_upload("partial")
    place.proxy.plan = times(1, Answer(404, "NoSuchUpload"), "AbortMultipartUpload")
    place.store.remove_partial("")


@pytest.mark.fault(25)
def test_pauses_are_drawn_and_their_bound_grows(place: Place) -> None:
    """As the server sees it: many clients that failed at once don't come back at once."""
    keys = [f"key{number}" for number in range(8)]
    stores = [Store.open(place.store.uri) for _ in keys]
    left = dict.fromkeys(keys, 3)

    def plan(asked: Asked) -> Fault | None:
        name = asked.key.rpartition("/")[2]
        left[name] -= 1
        return Answer(503, "SlowDown") if left[name] >= 0 else None

    place.proxy.plan = plan
    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(lambda store, key: store.put(key, NEW), stores, keys))
    waited = []
    for key in keys:
        at = [one.at for one in place.proxy.of("PutObject", key=f"/{key}")]
        assert len(at) == 4
        waited.append([later - earlier for earlier, later in pairwise(at)])
    by_try = list(zip(*waited, strict=True))
    spare = 1.0  # of a busy machine
    for number, found in enumerate(by_try):
        assert max(found) < 2**number + spare
        # no two of eight at the same moment, as they would be without a draw
        assert max(found) - min(found) > 0.05 * 2**number
    assert sum(by_try[-1]) > sum(by_try[0])


@pytest.mark.fault(25)
def test_a_user_may_ask_for_fewer_tries(
    place: Place, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    place.around.put("key", OLD)
    store = Store.open(place.store.uri)
    for fault in (PASSING["503"], PASSING["short"], PASSING["429"]):
        place.proxy.plan, place.proxy.asked = always(fault), []
        with pytest.raises(StoreError):
            store.get("key")
        assert len(place.proxy.asked) == 2
