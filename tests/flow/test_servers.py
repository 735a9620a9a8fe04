"""The flow on real servers: every object, checkpoint and answer on S3, runs and models in MLflow on
PostgreSQL.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from geovr import promotion, tracking
from geovr.artifacts import ClipSet
from geovr.errors import GateRefused, StoreError
from geovr.model_registry import CHAMPION, PREVIOUS, ModelRegistry
from geovr.object_cache import ObjectCache
from geovr.promotion.policy import PromotionPolicy
from geovr.storage import Store
from infra.local import postgres
from infra.local.s3 import BUCKET
from infra.local.servers import Servers
from tests.workspace import Workspace

pytestmark = pytest.mark.servers


def test_a_large_object_is_written_in_parts_and_read_by_ranges(
    on_servers: Servers, tmp_path: Path
) -> None:
    store, data = Store.open(f"s3://{BUCKET}/large"), os.urandom(70 << 20)
    cached = store.cached(ObjectCache(tmp_path / "cache", 100 << 20))
    sha256 = store.put("object", data)
    assert [store.get("object", sha256), cached.get("object", sha256)] == [data, data]
    store.remove("object")
    assert cached.get("object", sha256) == data
    with pytest.raises(StoreError, match="no such object"):
        store.get("object", sha256)


@pytest.mark.fault(52)
def test_the_flow_with_all_of_it_on_servers(workspace: Workspace, on_servers: Servers) -> None:
    client, secret = on_servers.objects.client(), on_servers.objects.secret
    videos = workspace.root / "data/rooms/videos"
    for path in videos.rglob("*.mp4"):
        client.upload_file(str(path), BUCKET, f"videos/{path.relative_to(videos).as_posix()}")
    store = ("--set", f"store=s3://{BUCKET}/store")
    logs = workspace.inline("ingest", *store, "--set", f"ingest.videos=s3://{BUCKET}/videos")
    for stage in ("check_clips", "extract_targets", "check_targets", "train", "evaluate"):
        logs += workspace.inline(stage, *store)
    logs += workspace.inline("register", *store)
    assert workspace.manifest("clips")["counts"]["clips"] == 12
    prefix = workspace.manifest("checkpoint")["details"]["prefix"]
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"store/{prefix}")["Contents"]
    assert any(item["Key"].endswith("model.safetensors") for item in listed)
    assert not [item for item in listed if item["Key"].endswith((".pkl", ".pt", ".bin"))]
    assert not (workspace.root / ".geovr/store").exists()
    assert "0 teacher calls" in workspace.inline("extract_targets", *store)
    assert "trained already" in workspace.inline("train", *store)
    # a step that is tried again makes no second version
    logs += workspace.inline("register", *store)
    registry = ModelRegistry("geovr")
    champion = registry.by_alias(CHAMPION)
    assert champion is not None and champion.number == 1
    assert registry.by_number(2) is None and registry.by_alias(PREVIOUS) is None

    # the run's artifacts went through the server to S3, its rows to PostgreSQL
    kept = client.list_objects_v2(Bucket=BUCKET, Prefix="mlflow/")["Contents"]
    assert any(item["Key"].endswith("report/report.html") for item in kept)
    with postgres.connect(on_servers.database) as rows, rows.cursor() as cursor:
        cursor.execute(
            "select version from registered_model_aliases where name = %s and alias = %s",
            ("geovr", CHAMPION),
        )
        assert int(cursor.fetchone()[0]) == 1

    _answers_again(workspace)
    written = [p for p in workspace.root.rglob("*") if p.is_file()]
    for hidden in (secret, on_servers.database.password):
        assert hidden not in logs
        assert not [p for p in written if hidden.encode() in p.read_bytes()]


def _answers_again(workspace: Workspace) -> None:
    """models:/geovr@champion says what evaluation heard."""
    details = workspace.manifest("evaluation")["details"]
    kept = Store.open(f"s3://{BUCKET}/store").get(details["predictions_key"]).decode()
    said = [row for row in map(json.loads, kept.splitlines()) if "text" in row]
    clips = ClipSet.load(workspace.root / "artifacts/clips")
    questions = clips.questions.set_index("id")
    videos = workspace.root / "data/rooms/videos"
    by_kind = {row["kind"]: row for row in said}
    assert len(by_kind) > 3
    for row in by_kind.values():
        asked = questions.loc[row["id"]]
        options = (
            [] if asked["options"] is None else [o.split(". ", 1)[1] for o in asked["options"]]
        )
        more = [part for option in options for part in ("--option", option)]
        (video,) = videos.rglob(f"{asked['clip_id']}.mp4")
        told = workspace.inline(
            "ask", asked["question"], "--model", "models:/geovr@champion", "--video", str(video),
            *more, "--json",
        )  # fmt: skip
        found: dict[str, Any] = json.loads(told[told.index("{") : told.rindex("}") + 1])
        assert found["answer"] == row["text"] and found["model"] == "geovr version 1"


@pytest.mark.fault(26)
def test_writers_at_once_agree_on_one_object_of_a_real_s3(
    on_servers: Servers,
) -> None:
    store = Store.open(f"s3://{BUCKET}/race")
    offered = [bytes([number]) * 100_000 for number in range(8)]
    for turn in range(5):
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda data, key=f"{turn}": store.put_new(key, data), offered))
        assert set(seen) == {store.get(f"{turn}")}
    assert store.put_new("0", b"later") == store.get("0") != b"later"


def _registered(name: str, *right: int) -> ModelRegistry:
    """Versions 1, 2, .. of a model on the server, each with so many right answers of 40."""
    registry, store = ModelRegistry(name), Store.open(f"s3://{BUCKET}/{name}")
    with tracking.run("races", name, key=name) as run:
        for number, count in enumerate(right, start=1):
            rows = [
                {"id": f"q{n}", "scene": f"s{n}", "kind": "turn", "answer": "B",
                 "options": ["A. left", "B. right"], "text": "B" if n < count else "A"}
                for n in range(40)
            ]  # fmt: skip
            text = "".join(json.dumps(row) + "\n" for row in rows).encode()
            tags = {
                promotion.BENCHMARK_TAG: "b", promotion.EVALUATION_TAG: f"e{number}",
                promotion.STORE_TAG: store.uri,
                promotion.SHA_TAG: store.put(f"evaluation/e{number}/predictions.jsonl", text),
            }  # fmt: skip
            registry.ensure_version(f"d{number}", store.uri, run.run_id, tags)
    return registry


def test_promotions_of_several_processes_at_once(workspace: Workspace, on_servers: Servers) -> None:
    """Each is compared with the champion that it replaces, so the best one is it in the end."""
    registry = _registered("race", 4, 15, 38, 25)
    promotion.promote("race", 1, PromotionPolicy())
    command = ("geovr", "promote", "--model", "race", "--version")
    started = {n: workspace.start(*command, str(n), shared=on_servers.variables) for n in (2, 3, 4)}
    told = {n: process.communicate(timeout=300)[0] for n, process in started.items()}
    codes = {n: process.returncode for n, process in started.items()}
    assert codes[3] == 0 and set(codes.values()) <= {0, 3}, told
    champion, previous = registry.by_alias(CHAMPION), registry.by_alias(PREVIOUS)
    assert champion is not None and previous is not None and champion.number == 3
    assert champion.tags["geovr.promoted_over"] == str(previous.number)
    for number, code in codes.items():
        assert ("geovr.promoted_over" in registry.version(number).tags) == (code == 0)

    # a step that is tried again changes nothing, the way back is there, and what is worse stays out
    tags = champion.tags
    assert promotion.promote("race", 3, PromotionPolicy()).tags == tags
    promotion.rollback("race")
    back = registry.by_alias(CHAMPION)
    assert back is not None and back.number == previous.number
    promotion.rollback("race")
    told_of = workspace.run(*command, "1", code=3, shared=on_servers.variables)
    assert "refused: it is worse than version 3 at turn" in told_of


def test_a_missing_alias_is_no_failing_server(on_servers: Servers) -> None:
    registry = _registered("nobody", 10)
    assert registry.by_alias(CHAMPION) is None
    with postgres.connect(on_servers.database) as rows, rows.cursor() as cursor:
        cursor.execute("alter table registered_model_aliases rename to away")
        try:
            with pytest.raises(Exception, match="registered_model_aliases") as failed:
                registry.by_alias(CHAMPION)
            assert not isinstance(failed.value, GateRefused)
        finally:
            cursor.execute("alter table away rename to registered_model_aliases")
    assert registry.by_alias(CHAMPION) is None
