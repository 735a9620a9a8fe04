"""All seven stages on an S3 server that fails: for a while, for good, and what is not there."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from geovr.errors import StoreError
from geovr.stages import STAGES, Stage
from geovr.storage import Store
from infra.local.s3 import BUCKET
from infra.local.servers import Servers
from tests.faults import faulty_s3 as faulty
from tests.faults.faulty_s3 import Answer, Asked, Cut, Fault, FaultyS3, Flip, Plan, Reset, Trickle
from tests.workspace import Workspace, make_workspace

pytestmark = pytest.mark.servers

# what stalls is in test_s3_proxy.py: waiting for it takes long
HEALING = [
    Answer(500, "InternalError"), Answer(503, "SlowDown"), Answer(429, "TooManyRequests"), Reset(),
    Reset(after=True), Cut(reset=True), Cut(reset=False), Trickle(), Flip(up=True), Flip(up=False),
]  # fmt: skip
OUTPUTS = {
    "ingest": "clips", "check_clips": "clips_report", "extract_targets": "targets",
    "check_targets": "targets_report", "train": "checkpoint", "evaluate": "evaluation",
    "register": "model_version",
}  # fmt: skip


@pytest.fixture
def proxy(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """S3 through it; MLflow stays on this disk. A thousandth of each pause is waited."""
    for name, value in servers.objects.variables.items():
        monkeypatch.setenv(name, value)
    wait = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: wait(seconds / 1000))
    with faulty.faulty_s3(servers.objects.port, BUCKET) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


def run(workspace: Workspace, stage: Stage, store: str, code: int = 0) -> str:
    return workspace.inline(
        stage.name, "--set", f"store=s3://{BUCKET}/{store}", "--set", "train.data_workers=0",
        code=code,
    )  # fmt: skip


def digests(workspace: Workspace) -> dict[str, str]:
    found = {name: workspace.manifest(name)["content_digest"] for name in OUTPUTS.values()}
    # which of two equal runs came first is in these
    return {name: found[name] for name in found if name != "model_version"}


@pytest.mark.fault(25, 28)
def test_the_flow_on_a_server_that_fails(template: Path, tmp_path: Path, proxy: FaultyS3) -> None:
    calm = make_workspace(tmp_path / "calm", template)
    for stage in STAGES:
        run(calm, stage, "calm")
    expected, asked = digests(calm), len(proxy.asked)

    stormy = make_workspace(tmp_path / "stormy", template)
    for number, stage in enumerate(STAGES):
        _refused_for_good(stormy, stage, proxy)
        proxy.plan = _storm(number)
        proxy.forget()
        run(stormy, stage, "stormy")
        failed = [one for one in proxy.asked if one.fault is not None]
        assert len(failed) >= len(proxy.asked) // 5 > 0, stage.name
    assert digests(stormy) == expected
    proxy.plan = lambda asked: None
    assert _objects("stormy") == _objects("calm")
    assert asked > 100
    _missing(stormy, proxy)


def _storm(seed: int) -> Plan:
    """Every third request fails; what comes altered is what an index has the digest of."""
    plan = faulty.every_third(seed, HEALING)

    def altered(asked: Asked) -> Fault | None:
        fault = plan(asked)
        known = asked.key.endswith(".safetensors")
        return Reset() if fault == Flip(up=False) and not known else fault

    return altered


def _refused_for_good(workspace: Workspace, stage: Stage, proxy: FaultyS3) -> None:
    """Ends by name, leaves no artifact, and the same command completes afterwards."""
    proxy.plan = faulty.always(Answer(503, "SlowDown"))
    told = run(workspace, stage, "stormy", code=1)
    assert f"StoreError: s3://{BUCKET}/stormy/" in told, told
    assert re.search("SlowDown|: 503", told) and "run the same command again" in told
    assert not (workspace.root / "artifacts" / OUTPUTS[stage.name] / "manifest.json").exists()


def _objects(store: str) -> dict[str, int | None]:
    """Keys of what is content-addressed, and its bytes."""
    found = Store.open(f"s3://{BUCKET}/{store}")
    return {key: found.size(key) for place in ("clips", "targets") for key in found.keys(place)}


def _missing(workspace: Workspace, proxy: FaultyS3) -> None:
    """An object that an index names and that is not there."""
    store = Store.open(f"s3://{BUCKET}/stormy")
    row = pd.read_parquet(workspace.root / "artifacts/targets/index.parquet").iloc[0]
    stages = {stage.name: stage for stage in STAGES}
    # what can't be read says nothing about the data
    proxy.plan = faulty.always(Answer(403, "AccessDenied"), key=row["object_key"])
    told = run(workspace, stages["check_targets"], "stormy", code=1)
    assert f"StoreError: s3://{BUCKET}/stormy/{row['object_key']}: AccessDenied" in told
    proxy.plan = lambda asked: None
    store.remove(row["object_key"])
    assert row["clip_id"] in run(workspace, stages["check_targets"], "stormy", code=3)
    assert "1 teacher calls" in run(workspace, stages["extract_targets"], "stormy")
    run(workspace, stages["check_targets"], "stormy")
    # a clip that training needs
    clips = pd.read_parquet(workspace.root / "artifacts/clips/index.parquet")
    key = clips[clips["split"] == "train"].iloc[0]["object_key"]
    store.remove(key)
    shutil.rmtree(workspace.root / ".geovr/cache")
    workspace.params({"train": {"steps": 7}})
    told = run(workspace, stages["train"], "stormy", code=1)
    assert f"LostObject: s3://{BUCKET}/stormy/{key}: no such object" in told


@pytest.mark.fault(25, 33)
def test_a_checkpoint_that_cant_be_read_now_is_not_broken(proxy: FaultyS3) -> None:
    """It is neither passed over, which would train its steps again, nor removed later."""
    from geovr.training.checkpoint import Checkpoints
    from tests.training.test_checkpoint import made, saved, steps

    store = Store.open(f"s3://{BUCKET}/checkpoints")
    model, optimizer = made()
    checkpoints = Checkpoints(store, "training/key", keep=2)
    for step in (1, 2):
        steps(model, optimizer, 1)
        saved(checkpoints, step, model, optimizer, {"step": step})
    for fault in (Answer(403, "AccessDenied"), Answer(503, "SlowDown"), Cut(reset=False)):
        proxy.plan = faulty.always(fault, "GetObject", key="00000002/__0_0.distcp")
        again = Checkpoints(Store.open(store.uri), "training/key", keep=2)
        with pytest.raises(StoreError, match=r"00000002/__0_0.distcp: "):
            again.load_latest(*made(seed=1))
        assert again.complete_steps() == [1, 2]
        proxy.plan = lambda asked: None
        assert again.load_latest(*made(seed=1))["step"] == 2
