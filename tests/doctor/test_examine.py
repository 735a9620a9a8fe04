"""`geovr doctor`: what works is ok, what doesn't is named with a remedy, and no check stops it."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from geovr.doctor import machine, media, services
from geovr.doctor.examine import checks, examine, render, run
from geovr.doctor.finding import Finding, Needs, Trouble
from tests.workspace import Workspace

SECRET = "p4ssw0rd-that-nobody-may-see"
pytestmark = pytest.mark.usefixtures("own_tracking")


def told(name: str, needs: Needs) -> Finding:
    """One check's finding."""
    check = {known: (function, required) for known, function, required in checks(needs)}[name]
    return run(name, check[0], needs, check[1], 60.0)


def test_what_must_work_on_any_machine_of_ours_does() -> None:
    for name in ("Python", "packages", "cores and memory", "video", "renderer", "process groups"):
        found = told(name, Needs())
        assert found.state == "ok", found
    assert "hevc" in told("video", Needs()).told


def test_a_codec_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "DECODERS", ("h264", "no-such-codec"))
    found = told("video", Needs())
    assert (found.state, found.told) == ("failed", "no decoder of no-such-codec")


def test_a_package_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy<1", "no-such-thing", "rich"])
    with pytest.raises(Trouble, match=r"numpy is .*, wanted <1; no-such-thing is missing"):
        machine.packages(Needs())


def test_a_full_disk_and_a_place_that_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = Needs(store=str(tmp_path / "a/store"))
    assert told("disk space", needs).state == told("writing", needs).state == "ok"
    assert not (tmp_path / "a").exists() and not list(tmp_path.glob(".geovr-doctor*"))
    full = Needs(store=needs.store, least_free_gb=1e9)
    assert told("disk space", full).state == "failed"
    assert str(tmp_path) in told("disk space", full).told
    monkeypatch.setattr(Needs, "places", (Path("/proc"),))
    found = told("writing", needs)
    assert found.state == "failed" and found.told.startswith("/proc: ") and "store:" in found.remedy


def test_a_base_model_that_lacks_something(tmp_path: Path) -> None:
    assert told("base model", Needs()).state == "missing"
    found = told("base model", Needs(base_model=str(tmp_path / "none")))
    assert found.required and "geovr init-model" in found.remedy
    (tmp_path / "config.json").write_text("{}")
    found = told("base model", Needs(base_model=str(tmp_path)))
    assert found.state == "failed" and "tokenizer.json" in found.told


def test_a_tracking_server_that_is_away_keeps_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "made at the first run" in told("MLflow", Needs()).told
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = told("MLflow", Needs())
    assert found.state == "failed" and found.required
    assert SECRET not in found.model_dump_json() and "MLFLOW_TRACKING_URI" in found.remedy


def test_s3_is_tried_with_an_object_and_credentials_are_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # moto keeps its buckets for the whole process: this one is nobody else's
    bucket = f"doctor-{uuid.uuid4().hex[:12]}"
    needs = Needs(store=f"s3://{bucket}/store")
    found = told("S3 credentials", needs)
    assert found.state == "missing" and found.required
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        found = told("store", needs)
        assert found.state == "failed" and bucket in found.told
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=bucket)
        found = told("store", needs)
        assert found.state == "ok", found
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        everything = [told(name, needs) for name in ("S3 credentials", "store", "proxies")]
        assert everything[0].told == "from env"
        assert SECRET not in render(everything)
    finally:
        server.stop()


def test_docker_and_kubernetes_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    needs = Needs(schedulers=("inline", "kubernetes", "local_docker"))
    for name in ("Docker", "Kubernetes"):
        found = told(name, needs)
        assert found.state == "missing" and found.required and found.remedy
    assert not told("Docker", Needs()).required


def test_dvc_wants_a_repository_and_a_remote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "dvc init" in told("DVC", Needs()).remedy
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = store\n")
    assert "remote add" in told("DVC", Needs()).remedy
    with (tmp_path / ".dvc/config").open("a") as file:
        file.write("['remote \"store\"']\n    url = s3://bucket/dvc\n")
    assert told("DVC", Needs()).state == "ok"


def test_a_check_that_hangs_or_breaks_is_a_finding() -> None:
    def hang(needs: Needs) -> str:
        time.sleep(60)
        return "never"

    def breaks(needs: Needs) -> str:
        raise RuntimeError("what nobody thought of\nin two lines")

    found = run("slow", hang, Needs(), True, 0.05)
    assert (found.state, found.told) == ("failed", "no answer within 0.05 s")
    found = run("odd", breaks, Needs(), False, 10.0)
    assert (found.state, found.told) == ("failed", "RuntimeError: what nobody thought of")


def test_needs_are_read_from_the_params_file(workspace: Workspace) -> None:
    workspace.params({"train": {"launch": {"scheduler": "local_docker", "image": "x"}}})
    import yaml

    needs = Needs.of(yaml.safe_load((workspace.root / "params.yaml").read_text()))
    assert "local_docker" in needs.schedulers and needs.base_model and not needs.s3
    assert {name for name, _, required in checks(needs) if required} >= {"Docker", "base model"}


def test_the_command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    text = workspace.inline("doctor")
    assert "All that these parameters need works here." in text
    for name, _, _ in checks(Needs()):
        assert name in text
    missing = ["doctor", "--set", "train.base_model=nowhere", "--json"]
    monkeypatch.chdir(workspace.root)
    findings = examine(Path("params.yaml"), ["train.base_model=nowhere"], 30.0)
    assert "1 of what these parameters need don't work: base model" in render(findings)
    import subprocess

    from tests.workspace import BIN, environment

    done = subprocess.run(
        [BIN / "geovr", *missing], cwd=workspace.root, env=environment(workspace.root),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    parsed = json.loads(done.stdout)
    assert parsed["status"] == "failed"
    assert [c["name"] for c in parsed["checks"] if c["required"] and c["state"] != "ok"] == [
        "base model"
    ]


def test_services_of_another_kind_are_left_alone(tmp_path: Path) -> None:
    assert services.store(Needs(store=str(tmp_path / "store"))).endswith("a directory")
    assert not (tmp_path / "store").exists()
