"""The laptop's MLflow database: made whole or not at all, by one process; and used by several."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from geovr import tracking
from geovr.tracking_database import file_of, make_whole

TELL = "from geovr import tracking; print(tracking.client().create_experiment({!r}))"


def start(home: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TELL.format(name)],
        env=os.environ | {"GEOVR_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def half_made(home: Path) -> Path:
    """What a process leaves that is killed while it makes the tables."""
    making = home / ".mlflow.db.making"
    process = start(home, "never")
    while process.poll() is None and not (making.exists() and making.stat().st_size > 100_000):
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    return making


@pytest.mark.fault(31)
def test_killed_while_tables_are_made_the_next_try_makes_them(tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    half_made(home)
    assert not (home / "mlflow.db").exists()
    again = start(home, "after")
    output, errors = again.communicate()
    assert again.returncode == 0, errors
    assert output.strip() == "1"
    assert sorted(path.name for path in home.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


@pytest.mark.fault(31)
def test_an_unfinished_database_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "fresh"
    making = half_made(home)
    database = home / "mlflow.db"
    for suffix in ("", "-journal"):
        if (part := making.with_name(making.name + suffix)).exists():
            part.replace(database.with_name(database.name + suffix))
    long_ago = time.time() - 3600
    os.utime(database, (long_ago, long_ago))
    monkeypatch.setenv("GEOVR_HOME", str(home))
    assert tracking.client().create_experiment("after") == "1"
    assert "was never finished" in caplog.text
    assert (home / "mlflow.db.unfinished").exists()
    with closing(sqlite3.connect(database)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_processes_begin_together(tmp_path: Path) -> None:
    started = [start(tmp_path / "fresh", name) for name in ("one", "two")]
    ended = [(*process.communicate(), process.returncode) for process in started]
    assert [code for *_, code in ended] == [0, 0], ended
    assert {output.strip() for output, *_ in ended} == {"1", "2"}


def test_runs_that_begin_together_tell_of_the_same_data(tmp_path: Path) -> None:
    """All of them have all data sets, each once, whoever was first."""
    runs, rounds = 6, 25
    mlflow = tracking.client()
    experiment = mlflow.create_experiment("together")
    started = [mlflow.create_run(experiment).info.run_id for _ in range(runs)]
    together = threading.Barrier(runs)

    def work(run_id: str) -> None:
        run = tracking.Run(tracking.client(), run_id)
        for number in range(rounds):
            together.wait(60)
            run.log_dataset(f"d{number}", "file:///data", "0" * 64, "training", {"teacher": "t"})

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(work, started))
    for run_id in started:
        told = [
            (one.dataset.name, one.tags) for one in mlflow.get_run(run_id).inputs.dataset_inputs
        ]
        assert sorted(name for name, _ in told) == sorted(f"d{number}" for number in range(rounds))
        assert all({tag.key: tag.value for tag in tags}["teacher"] == "t" for _, tags in told)


def test_a_database_that_somebody_is_making_is_waited_for(
    tmp_path: Path, blank_database: Path
) -> None:
    home = tmp_path / "fresh"
    home.mkdir()
    database = home / "mlflow.db"
    database.touch()  # `mlflow ui` at its beginning
    waiting = start(home, "after")
    while not (home / ".mlflow.db.lock").exists():
        time.sleep(0.02)
    time.sleep(1)
    assert waiting.poll() is None
    shutil.copy(blank_database, tmp_path / "made.db").replace(database)
    output, errors = waiting.communicate()
    assert waiting.returncode == 0, errors
    assert output.strip() == "1"
    assert not (home / "mlflow.db.unfinished").exists()


def test_what_is_no_database_of_mlflow_stays(tmp_path: Path) -> None:
    other, text = tmp_path / "other.db", tmp_path / "text.db"
    with closing(sqlite3.connect(other)) as opened:
        opened.execute("CREATE TABLE letters (body TEXT)")
    text.write_text("not a database at all, and longer than SQLite's header of 100 bytes" * 4)
    for path in (other, text):
        before = path.read_bytes()
        make_whole(f"sqlite:///{path}")
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    "uri", ["http://host/x", "postgresql://u@h/db", "sqlite://", "sqlite:///:memory:"]
)
def test_other_uris_are_left_to_mlflow(uri: str) -> None:
    assert file_of(uri) is None
    make_whole(uri)


def test_paths_of_uris() -> None:
    assert file_of("sqlite:////data/mlflow.db") == Path("/data/mlflow.db")
    assert file_of("sqlite:///mlflow.db") == Path("mlflow.db")
