"""Training that is killed anywhere ends with the same bytes as training that isn't."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geovr.artifacts import Checkpoint
from geovr.errors import Interrupted
from geovr.stages.train import TrainConfig, training_key
from geovr.storage import Store
from geovr.tracking import client
from geovr.tracking_training import TrainingRun
from tests.training.conftest import Prepared, Result
from tests.workspace import BIN, environment

DRIVE = str(Path(__file__).with_name("drive.py"))

pytestmark = pytest.mark.usefixtures("tracked")


class Killed(BaseException):
    """Stands for SIGKILL in this process: nothing catches it."""


def start(
    prepared: Prepared, root: Path, *program: str, steps: int | None = None
) -> subprocess.Popen[str]:
    """train() in a process group of its own; it waits to be killed after some steps."""
    (root / "config.json").write_text(json.dumps(prepared.values(root)))
    return subprocess.Popen(
        [*program, DRIVE, "config.json", str(prepared.clips.directory),
         str(prepared.targets.directory), "checkpoint", *([str(steps)] if steps else [])],
        cwd=root, env=environment(root), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def kill_after(process: subprocess.Popen[str], root: Path, step: int) -> None:
    """SIGKILL it and its children as soon as the checkpoint of a step stands."""
    deadline = time.monotonic() + 120
    try:
        while not list(root.glob(f"store/training/*/steps/{step:08d}/manifest.json")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no checkpoint in time"
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def written(root: Path) -> dict[str, tuple[int, int]]:
    """Every object of the store with its inode and time of change."""
    files = [path for path in (root / "store").rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def finished(root: Path) -> bool:
    return bool(list(root.glob("store/training/*/finished.json")))


@pytest.mark.fault(46)
def test_a_rerun_of_finished_training_writes_nothing(
    prepared: Prepared, tmp_path: Path, whole: Result, caplog: pytest.LogCaptureFixture
) -> None:
    first = prepared.train(tmp_path)
    assert first.same(whole) and len(first.curve) == 4
    assert all(np.isfinite(metrics["loss"]) for metrics in first.curve)
    before = written(tmp_path)
    with caplog.at_level(logging.INFO, logger="geovr"):
        again = prepared.train(tmp_path)
    assert "trained already; nothing to do" in caplog.text
    assert again.same(first) and written(tmp_path) == before
    assert again.details["mlflow_run_id"] == first.details["mlflow_run_id"]


@pytest.mark.fault(31)
def test_sigkill_then_a_rerun_ends_as_if_nothing_had_happened(
    prepared: Prepared, tmp_path: Path, whole: Result
) -> None:
    kill_after(start(prepared, tmp_path, str(BIN / "python"), steps=2), tmp_path, 2)
    assert not finished(tmp_path) and not (tmp_path / "checkpoint").exists()
    assert prepared.train(tmp_path).same(whole)


@pytest.mark.fault(35)
@pytest.mark.slow
def test_a_rerun_may_use_more_processes(prepared: Prepared, tmp_path: Path, whole: Result) -> None:
    """Two steps in this process, two under torchrun: one loss curve."""
    with pytest.raises(Killed), pytest.MonkeyPatch.context() as patch:
        kill_when_written(patch, "steps/00000002/manifest.json", after=True)
        prepared.train(tmp_path)
    torchrun = (str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2")
    output = start(prepared, tmp_path, *torchrun).communicate()[0]
    assert finished(tmp_path), output
    resumed = Result.of(Checkpoint.load(tmp_path / "checkpoint"), tmp_path)
    assert resumed.losses[:2] == whole.losses[:2]
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-4)
    assert resumed.details["key"] == whole.details["key"]


def kill_when_written(patch: pytest.MonkeyPatch, ending: str, *, after: bool) -> None:
    """Die just before or just after the store takes an object of this name, once."""
    original = Store.put
    alive = True

    def put(self: Store, key: str, data: bytes) -> str:
        nonlocal alive
        hit = key.endswith(ending) and alive
        if hit and not after:
            alive = False
            raise Killed
        digest = original(self, key, data)
        if hit:
            alive = False
            raise Killed
        return digest

    patch.setattr(Store, "put", put)


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    "ending, after",
    [
        ("steps/00000001/manifest.json", False),
        ("steps/00000003/__0_0.distcp", True),
        ("steps/00000004/manifest.json", True),
        ("export/config.json", True),
        ("/curve.jsonl", False),
        ("/finished.json", False),
        ("/finished.json", True),
    ],
)
def test_killed_around_any_write(
    prepared: Prepared, tmp_path: Path, whole: Result, ending: str, after: bool
) -> None:
    with pytest.raises(Killed), pytest.MonkeyPatch.context() as patch:
        kill_when_written(patch, ending, after=after)
        prepared.train(tmp_path)
    assert not (tmp_path / "checkpoint/manifest.json").exists()
    assert prepared.train(tmp_path).same(whole)


@pytest.mark.fault(33)
def test_a_damaged_newest_checkpoint_costs_a_step_and_a_warning(
    prepared: Prepared, tmp_path: Path, whole: Result, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Killed), pytest.MonkeyPatch.context() as patch:
        kill_when_written(patch, "steps/00000003/manifest.json", after=True)
        prepared.train(tmp_path)
    (model,) = tmp_path.glob("store/training/*/steps/00000003/__0_0.distcp")
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="geovr"):
        resumed = prepared.train(tmp_path)
    assert "checkpoint of step 3 is broken, trying the one before" in caplog.text
    assert str(model) in caplog.text
    assert resumed.same(whole)


@pytest.mark.fault(32)
def test_sigterm_saves_the_step_in_hand(
    prepared: Prepared, tmp_path: Path, whole: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TrainingRun.log_metrics

    def log_metrics(self: TrainingRun, metrics: dict[str, float], step: int) -> None:
        original(self, metrics, step)
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingRun, "log_metrics", log_metrics)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=r"stopped after step [23] of 4; a checkpoint stands"):
        prepared.train(tmp_path, checkpoint_every=100)
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(list(tmp_path.glob("store/training/*/steps/*/manifest.json"))) == 1
    monkeypatch.setattr(TrainingRun, "log_metrics", original)
    assert prepared.train(tmp_path, checkpoint_every=100).same(whole)


def history(run_id: str) -> list[tuple[int, float]]:
    """Step and loss of every point that MLflow has."""
    return sorted((m.step, m.value) for m in client().get_metric_history(run_id, "loss"))


def test_mlflow_has_one_run_with_the_curve(prepared: Prepared, tmp_path: Path) -> None:
    result = prepared.train(tmp_path)
    run_id = result.details["mlflow_run_id"]
    assert history(run_id) == list(enumerate(result.losses))
    run = client().get_run(run_id)
    assert run.info.status == "FINISHED"
    assert {"loss/text", "loss/camera", "loss/depth", "loss/scale", "loss/features"} <= set(
        run.data.metrics
    )
    assert {d.dataset.name for d in run.inputs.dataset_inputs} == {"clips", "targets"}


@pytest.mark.fault(47)
@pytest.mark.parametrize("exported", [True, False])
def test_a_run_or_an_export_that_was_deleted_is_made_again(
    prepared: Prepared, tmp_path: Path, whole: Result, exported: bool
) -> None:
    first = prepared.train(tmp_path)
    client().delete_run(first.details["mlflow_run_id"])
    shutil.rmtree(tmp_path / "checkpoint")
    if not exported:
        (model,) = tmp_path.glob("store/training/*/export/model.safetensors")
        model.unlink()
    again = prepared.train(tmp_path)
    assert again.same(whole)
    run_id = again.details["mlflow_run_id"]
    assert run_id != first.details["mlflow_run_id"]
    assert history(run_id) == list(enumerate(again.losses))


@pytest.mark.parametrize(
    "changes, same",
    [
        ({"checkpoint_every": 7, "keep_checkpoints": 5, "cache_mb": 1, "experiment": "x"}, True),
        ({"launch": {"scheduler": "local_cwd", "processes_per_node": 2}}, True),
        ({"data_workers": 3, "disk_cache_gb": 0}, True),
        ({"steps": 5}, False),
        ({"seed": 1}, False),
        ({"clips_per_forward": 1}, False),
        ({"objectives": {"depth": False}}, False),
        ({"numeric_answers": "binned"}, False),
    ],
)
def test_the_key_hashes_what_decides_the_weights(
    prepared: Prepared, tmp_path: Path, changes: dict[str, Any], same: bool
) -> None:
    inputs = {"clips": "a", "targets": "b"}
    one = training_key(TrainConfig.model_validate(prepared.values(tmp_path)), inputs)
    other = TrainConfig.model_validate(prepared.values(tmp_path / "elsewhere", **changes))
    assert (training_key(other, inputs) == one) is same
    assert training_key(other, {"clips": "a", "targets": "c"}) != one
