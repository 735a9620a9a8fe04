"""A tracking server that is away, slow or failing neither stops training nor loses a metric."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from geovr.errors import Interrupted
from geovr.metric_spool import MetricSpool, Point
from geovr.tracking import Run, client
from tests.training.conftest import Prepared, Result
from tests.training.test_resume import Killed, history, kill_when_written

pytestmark = pytest.mark.usefixtures("tracked")


@pytest.mark.fault(45)
def test_training_ends_without_its_server_and_the_rerun_reports_every_step_once(
    prepared: Prepared,
    tmp_path: Path,
    whole: Result,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = "http://user:secret@127.0.0.1:9"  # the discard port, where nothing listens
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    with pytest.raises(Interrupted, match="did not take the metrics") as caught:
        prepared.train(tmp_path, tracking_patience_s=0.5)
    assert "secret" not in str(caught.value)
    spool = tmp_path / "geovr-home/spool"
    assert str(next(spool.iterdir())) in str(caught.value)
    assert "training goes on, metrics wait in" in caplog.text
    assert list(tmp_path.glob("store/training/*/finished.json"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with caplog.at_level(logging.INFO, logger="geovr"):
        result = prepared.train(tmp_path)
    assert "trained already" in caplog.text
    assert result.same(whole)
    assert history(result.details["mlflow_run_id"]) == list(enumerate(result.losses))
    assert not list(spool.iterdir())


@pytest.mark.fault(45)
@pytest.mark.parametrize("spool_survives", [True, False])
def test_steps_trained_twice_are_reported_once(
    prepared: Prepared, tmp_path: Path, whole: Result, spool_survives: bool
) -> None:
    """Killed after step 3 with the newest checkpoint at 2; here, or on a node that is lost too."""
    with pytest.raises(Killed), pytest.MonkeyPatch.context() as patch:
        kill_when_written(patch, "steps/00000004/__0_0.distcp", after=False)
        prepared.train(tmp_path, checkpoint_every=2)
    if not spool_survives:
        for path in (tmp_path / "geovr-home/spool").iterdir():
            path.unlink()
    result = prepared.train(tmp_path, checkpoint_every=2)
    assert result.same(whole)
    assert history(result.details["mlflow_run_id"]) == list(enumerate(result.losses))
    params = client().get_run(result.details["mlflow_run_id"]).data.params
    assert params["steps"] == "4"


@pytest.mark.fault(45)
def test_a_failing_server_gets_each_point_once(tmp_path: Path) -> None:
    """Every second call fails, after it took the points or before."""
    taken: list[int] = []
    calls = 0

    def send(points: list[Point]) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise ConnectionError("busy")
        taken.extend(point.step for point in points)

    spool = MetricSpool(tmp_path / "spool.jsonl", lambda: {1, 2}, send)
    for step in range(40):
        spool.add(step, {"loss": float(step)})
        spool.add(step, {"loss": -1.0})  # trained again after a resume
        time.sleep(0.002)
    assert spool.close(20)
    assert taken == [step for step in range(40) if step not in (1, 2)]
    assert not (tmp_path / "spool.jsonl").exists()


@pytest.mark.fault(45)
def test_a_slow_server_keeps_nobody_waiting(tmp_path: Path) -> None:
    free = threading.Event()

    def send(points: list[Point]) -> None:
        free.wait(30)

    spool = MetricSpool(tmp_path / "spool.jsonl", set, send)
    for step in range(200):
        spool.add(step, {"loss": 0.5})
    assert len((tmp_path / "spool.jsonl").read_text().splitlines()) == 200
    assert not spool.close(0.05)
    free.set()


@pytest.mark.fault(45)
def test_a_line_cut_off_by_a_kill_is_not_a_step(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_text('[0, 17, {"loss": 1.5}]\nnot json\n[1, 18, {"lo')
    sent: list[Point] = []
    spool = MetricSpool(path, set, sent.extend)
    spool.add(1, {"loss": 2.5})
    assert spool.close(20)
    assert [(point.step, point.metrics) for point in sent] == [
        (0, {"loss": 1.5}),
        (1, {"loss": 2.5}),
    ]
    assert sent[0].time_ms == 17


def test_points_travel_whole(own_tracking: None) -> None:
    """No request holds a part of a step: the server has a step or lacks it."""
    sizes = []

    class Server:
        def log_batch(self, run_id: str, metrics: list[object]) -> None:
            sizes.append(len(metrics))

    points = [Point(step, 0, {f"m{n}": 1.0 for n in range(30)}) for step in range(100)]
    Run(Server(), "run").log_points(points)
    assert sum(sizes) == 3000 and max(sizes) <= 1000 and all(size % 30 == 0 for size in sizes)
