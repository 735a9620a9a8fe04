"""The word that a run has ended: what it says, how it is signed, and what a webhook can do."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geovr import run_log
from geovr.errors import GateRefused, UserError
from geovr.launch import run_component
from geovr.notify import NotifyConfig, deliver, notify, signature, summary
from geovr.storage import Store
from tests.webhook import Receiver, cut, hang, receiving, status
from tests.workspace import Workspace

KEY = b"0123456789abcdef0123456789abcdef"
RUN = {"pipeline": "geovr-training", "run_id": "run-1", "run_name": "nightly"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(KEY) as one:
        yield one


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/hmac-key").write_bytes(KEY + b"\n")
    return tmp_path / "secret"


def config(url: str, **changes: Any) -> NotifyConfig:
    quick = {"allow_http": True, "first_wait_s": 0.01, "timeout_s": 0.5, "attempts": 4}
    return NotifyConfig.model_validate({"url": url} | quick | changes)


def tell(receiver: Receiver, mounted: Path, store: Path, state: str, **changes: Any) -> str:
    settings = config(receiver.url, mounted_at=str(mounted), **changes)
    return notify(settings.model_dump_json(), json.dumps({"store": str(store)}), state, "", RUN)


def said(store: Path, **stages: dict[str, Any]) -> None:
    for name, told in stages.items():
        text = json.dumps({"stage": name, "message": ""} | told).encode()
        Store.open(str(store)).put(f"runs/run-1/{name}.json", text)


DONE = {"status": "done"}
MODEL = {"name": "geovr", "version": 7, "decision": "approved"}


def test_a_run_that_succeeded(receiver: Receiver, mounted: Path, tmp_path: Path) -> None:
    said(tmp_path / "store", ingest=DONE, register=DONE | {"model": MODEL})
    assert "told 127.0.0.1 (HTTP 204)" in tell(receiver, mounted, tmp_path / "store", "COMPLETE")
    (body,) = receiver.told
    assert time.time() - time.mktime(time.strptime(body.pop("time"), "%Y-%m-%dT%H:%M:%SZ")) < 9e4
    assert body == RUN | {
        "event": "run.ended", "state": "succeeded", "model": MODEL,
        "failed_stage": None, "error": None, "message": None,
    }  # fmt: skip


def test_a_run_that_failed_says_where_and_why(
    receiver: Receiver, mounted: Path, tmp_path: Path
) -> None:
    refusal = {"status": "failed", "error": "GateRefused", "message": "check_targets: 3 rows\nat"}
    said(tmp_path / "store", ingest=DONE, extract_targets=DONE, check_targets=refusal)
    # Kubeflow's server may still call the run running
    for state in ("FAILED", "RUNNING"):
        tell(receiver, mounted, tmp_path / "store", state)
        body = receiver.told[-1]
        assert body["state"] == "failed" and body["failed_stage"] == "check_targets"
        assert (body["error"], body["message"]) == ("GateRefused", "check_targets: 3 rows")
        assert body["model"] is None


@pytest.mark.parametrize(
    ("state", "told", "ended", "stage", "message"),
    [
        ("FAILED", {}, "failed", None, "Task x failed."),
        ("FAILED", {"train": {"status": "started"}}, "failed", "train", "ended without a word"),
        ("CANCELED", {"train": {"status": "started"}}, "cancelled", "train", "ended without a"),
        ("CANCELLED", {}, "cancelled", None, "Task x failed."),
        ("RUNNING", {"ingest": DONE}, "unknown", None, "Task x failed."),
        ("", {"ingest": DONE, "register": DONE}, "succeeded", None, None),
        ("SUCCEEDED", {}, "succeeded", None, None),
    ],
)
def test_what_stages_said_completes_kubeflows_word(
    state: str, told: dict[str, Any], ended: str, stage: str | None, message: str | None
) -> None:
    body = summary(state, "Task x failed.\nmore", told)
    assert (body["state"], body["failed_stage"]) == (ended, stage)
    assert body["message"] is None if message is None else body["message"].startswith(message)


def test_ends_that_nobody_asked_for_are_not_told(
    receiver: Receiver, mounted: Path, tmp_path: Path
) -> None:
    outcome = tell(receiver, mounted, tmp_path / "store", "SUCCEEDED", states=["failed"])
    assert "nobody is to be told" in outcome and receiver.seen == 0
    tell(receiver, mounted, tmp_path / "store", "FAILED", states=["failed"])
    assert receiver.seen == 1


def test_the_signature_is_over_time_and_body(receiver: Receiver) -> None:
    deliver(config(receiver.url), KEY, b'{"a":1}')
    (body, headers) = receiver.raw[0]
    assert headers["X-GeoVR-Signature"] == signature(KEY, headers["X-GeoVR-Timestamp"], body)
    assert body == b'{"a":1}' and headers["Content-Type"] == "application/json"
    # by hand, as `printf '1.{}' | openssl dgst -sha256 -hmac key` gives it
    assert signature(b"key", "1", b"{}") == (
        "sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
    )
    receiver.key = b"another key of that length......"
    assert "NOT told: 127.0.0.1 refuses it: HTTP 401" in deliver(config(receiver.url), KEY, b"{}")


def test_what_passes_is_tried_again(receiver: Receiver) -> None:
    receiver.faults = [status(500), cut, status(429)]
    assert "told" in deliver(config(receiver.url), KEY, b"{}") and receiver.seen == 4
    assert len(receiver.told) == 1


def test_a_webhook_that_hangs_costs_a_bounded_time(receiver: Receiver) -> None:
    receiver.faults = [hang] * 9
    began = time.monotonic()
    outcome = deliver(config(receiver.url, timeout_s=0.2, attempts=3), KEY, b"{}")
    assert outcome == "NOT told: 127.0.0.1 was tried 3 times: no answer in 0.2 s"
    assert time.monotonic() - began < 3 and receiver.seen == 3


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving(KEY) as other:
        for code in (301, 302, 303, 307, 308):
            receiver.faults = [status(code, Location=other.url)]
            outcome = deliver(config(receiver.url), KEY, b"{}")
            assert f"HTTP {code}; it is not followed elsewhere" in outcome
        assert other.seen == 0 and receiver.seen == 5


def test_a_refusal_is_not_repeated(receiver: Receiver) -> None:
    receiver.faults = [status(404), status(404)]
    assert "refuses it: HTTP 404" in deliver(config(receiver.url), KEY, b"{}")
    assert receiver.seen == 1


def test_a_webhook_that_is_away_ends_no_run_red(
    mounted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving(KEY) as gone:
        pass
    assert "NOT told" in tell(gone, mounted, tmp_path / "store", "FAILED", attempts=2)
    assert "no connection" in caplog.text


def test_without_a_key_it_says_so(receiver: Receiver, mounted: Path, tmp_path: Path) -> None:
    (mounted / "hmac-key").write_bytes(b"short\n")
    with pytest.raises(UserError, match="hmac-key: a key of less than 16 bytes"):
        tell(receiver, mounted, tmp_path, "FAILED")
    with pytest.raises(UserError, match=r"hmac-key: No such file.*must be mounted"):
        tell(receiver, tmp_path, tmp_path, "FAILED")
    assert receiver.seen == 0


def test_a_message_loses_what_nobody_may_read() -> None:
    environment = {"AWS_SECRET_ACCESS_KEY": "canary-1234", "HOME": "/home/x", "MY_TOKEN": "no"}
    line = run_log.first_line(
        "train: s3 said canary-1234 at https://me:pass@host/a?X-Amz-Signature=abc, no more\nrest",
        environment,
    )
    assert line == "train: s3 said *** at https://host/a?... no more"
    assert run_log.first_line("\ncheck_clips refused:\n  - 2 rows\n  - 3 rows\n", {}) == (
        "check_clips refused: - 2 rows"
    )
    assert run_log.first_line("", {}) == "" == run_log.first_line(" \n", {})


def test_a_store_that_is_away_still_tells_kubeflows_word(
    receiver: Receiver, mounted: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    tell(receiver, mounted, tmp_path / "file", "FAILED")
    assert receiver.told[0]["state"] == "failed" and receiver.told[0]["failed_stage"] is None


def test_a_stage_leaves_its_word_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOVR_RUN_ID", "run-1")
    monkeypatch.setenv("SOME_PASSWORD", "hunter2-canary")
    store = str(tmp_path / "store")
    values = {"store": store, "videos": "/none/hunter2-canary"}
    with pytest.raises(UserError):
        run_component("ingest", json.dumps(values), {}, str(tmp_path / "clips"))
    told = run_log.read(store, "run-1")["ingest"]
    assert (told["status"], told["error"]) == ("failed", "UserError")
    assert "***" in told["message"] and "hunter2" not in json.dumps(told)
    # another run has said nothing, and an id is no way out of its folder
    assert run_log.read(store, "run-2") == {} == run_log.read(store, "../runs/run-1")


LOCAL = """
    import os, sys
    from kfp import local
    from pipelines.cluster import ClusterConfig
    from pipelines.images import stage_parameters
    from pipelines.training import make_pipeline
    from pathlib import Path

    cluster = ClusterConfig.model_validate({"notify": {
        "url": sys.argv[1], "allow_http": True, "mounted_at": sys.argv[2],
    }})
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=".geovr/kfp")
    make_pipeline(cluster=cluster)(**stage_parameters(Path("params.yaml"), [], {}))
"""


def test_a_whole_run_ends_with_its_word(
    workspace: Workspace, receiver: Receiver, mounted: Path
) -> None:
    """The pipeline for a cluster, in Kubeflow's local runner: the handler runs after a red gate."""
    workspace.params({"check_clips": {"thresholds": {"min_side": 4000}}})
    told = workspace.root / "told"
    told.mkdir()
    out = workspace.run(
        "python", "-c", textwrap.dedent(LOCAL), receiver.url, str(mounted), code=1,
        shared={"GEOVR_RUN_LOG": str(told)},
    )  # fmt: skip
    assert len(receiver.told) == 1, out
    (body,) = receiver.told
    assert body["state"] == "failed" and body["failed_stage"] == "check_clips", out
    assert body["error"] == GateRefused.__name__
    assert body["message"].startswith("check_clips refused: Frames are large enough to see.")
    assert body["pipeline"] == "geovr-training" and body["run_id"] and body["run_name"]
    assert KEY.decode() not in out
