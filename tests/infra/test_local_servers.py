"""Starting, stopping and deleting the local servers, with small programs in their place."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from geovr.errors import UserError
from infra.local import postgres, s3, servers, tracking
from infra.local.postgres import Postgres
from infra.local.processes import Process, start
from infra.local.s3 import S3

PROGRAM = f"""#!{sys.executable} -IS
import signal, time

def end(number, frame):
    print(signal.Signals(number).name, flush=True)
    raise SystemExit

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stands for all servers; its log names the signal that ended it."""
    path = tmp_path / "program"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setattr(postgres, "account", lambda: None)
    monkeypatch.setattr(postgres, "program", lambda name: str(path))
    monkeypatch.setattr(s3, "program", lambda: str(path))
    monkeypatch.setattr(tracking, "find", lambda name, remedy: str(path))
    return str(path)


@pytest.fixture
def launch(program: str, tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    """Starts one and waits for it; none is left."""
    made: list[Process] = []

    def launched(name: str) -> Process:
        made.append(start(name, [program], tmp_path / f"{name}.txt"))
        return answering(made[-1])

    yield launched
    for process in made:
        process.stop()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "servers"
    path.mkdir()
    return path


def answering(process: Process) -> Process:
    deadline = time.monotonic() + 20
    while "ready" not in process.tail():
        assert time.monotonic() < deadline, process.tail()
        time.sleep(0.01)
    return process


def record(directory: Path, **processes: Process) -> None:
    kept = {name: asdict(process) | {"port": 1} for name, process in processes.items()}
    told = {"password": "p", "s3": "s", "processes": kept}
    (directory / "state.json").write_text(json.dumps(told))


@pytest.mark.parametrize("state", [None, "{}", "[]", '{"version": 4}', '{"processes": {}}'])
def test_a_foreign_directory_is_refused_and_keeps_its_files(
    directory: Path, program: str, state: str | None
) -> None:
    (directory / "s3").mkdir()
    (directory / "s3" / "thesis.txt").write_text("ten years")
    if state is not None:
        (directory / "state.json").write_text(state)
    before = sorted(directory.rglob("*"))
    with pytest.raises(UserError, match=rf"{directory}.* --directory"):
        servers.down(directory, delete=True)
    if state is not None:
        with pytest.raises(UserError, match=rf"{directory}.* --directory"):
            servers.up(directory)
        assert (directory / "state.json").read_text() == state
    assert sorted(directory.rglob("*")) == before


def test_stopped_servers_are_deleted(
    directory: Path, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tmp_path / "elsewhere"
    monkeypatch.setattr(postgres, "place", lambda directory: cluster)
    for path in (cluster, directory / "s3", directory / "postgres"):
        path.mkdir()
        (path / "data").touch()
    for name in ("postgres.log", "s3.log", "mlflow.log", "s3.json", "env.sh", "state.new"):
        (directory / name).touch()
    record(directory, s3=Process("SeaweedFS", 2**22 + 1, 1.0, str(directory / "s3.log")))
    assert servers.down(directory, delete=True) == []
    assert not directory.exists()
    assert not cluster.exists()


def test_what_lies_beside_them_stays(directory: Path, program: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "data").touch()
    (directory / "s3").symlink_to(outside)
    (directory / "thesis.txt").touch()
    record(directory)
    servers.down(directory, delete=True)
    assert [path.name for path in directory.iterdir()] == ["thesis.txt"]
    assert (outside / "data").exists()


def test_half_of_them_is_found_and_stopped(
    directory: Path, launch: Callable[[str], Process]
) -> None:
    process = launch("PostgreSQL")
    record(directory, postgres=process)
    assert servers.running(directory) is None
    assert servers.down(directory) == ["PostgreSQL"]
    assert not process.alive()
    assert process.tail().split() == ["ready", "SIGINT"]
    assert json.loads((directory / "state.json").read_text())["processes"] == {}


@pytest.mark.parametrize("error", [UserError("no answer"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["postgres", "s3", "tracking"])
def test_a_server_that_does_not_get_ready_is_stopped(
    name: str,
    error: BaseException,
    directory: Path,
    program: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    met: list[Process] = []

    def fails(ready: object, process: Process) -> None:
        met.append(answering(process))
        raise error

    for module in (postgres, s3, tracking):
        monkeypatch.setattr(module, "wait_until", fails)
    (directory / "postgres").mkdir()
    (directory / "postgres" / "PG_VERSION").touch()
    nobody = Process("nobody", 2**22 + 1, 1.0, "")
    with pytest.raises(type(error)):
        if name == "postgres":
            postgres.start_postgres(directory, 1, "p")
        elif name == "s3":
            s3.start_s3(directory, 1, "s")
        else:
            tracking.start_tracking(directory, 1, Postgres(nobody, 1, "p"), S3(nobody, 1, "s"))
    (process,) = met
    assert not process.alive()
    assert process.tail().split() == ["ready", "SIGINT" if name == "postgres" else "SIGTERM"]


@pytest.mark.parametrize("error", [UserError("no answer"), KeyboardInterrupt()])
def test_when_one_fails_the_others_stop_and_were_recorded(
    error: BaseException,
    tmp_path: Path,
    launch: Callable[[str], Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = tmp_path / "new"
    recorded: list[set[str]] = []
    started: list[Process] = []

    def note() -> None:
        recorded.append(set(json.loads((directory / "state.json").read_text())["processes"]))

    def database(directory: Path, port: int, password: str) -> Postgres:
        note()
        started.append(launch("PostgreSQL"))
        return Postgres(started[-1], port, password)

    def objects(directory: Path, port: int, secret: str, address: str) -> S3:
        note()
        started.append(launch("SeaweedFS"))
        return S3(started[-1], port, secret, address)

    def fails(*arguments: Any) -> None:
        note()
        raise error

    monkeypatch.setattr(servers, "start_postgres", database)
    monkeypatch.setattr(servers, "start_s3", objects)
    monkeypatch.setattr(servers, "start_tracking", fails)
    with pytest.raises(type(error)), servers.serving(directory):
        pass
    assert recorded == [set(), {"postgres"}, {"postgres", "s3"}]
    assert not any(process.alive() for process in started)
    ended = [process.tail().split()[-1] for process in started]
    assert ended == ["SIGINT", "SIGTERM"]
    assert not directory.exists()


def test_nothing_started_leaves_the_first_error(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise UserError("no program weed")

    monkeypatch.setattr(s3, "program", missing)
    with pytest.raises(UserError, match="weed"), servers.serving(tmp_path / "new"):
        pass


def test_a_process_number_used_again_is_another_process(launch: Callable[[str], Process]) -> None:
    process = launch("it")
    another = replace(process, began=process.began - 60)
    assert process.alive()
    assert not another.alive()
    another.stop()
    assert process.alive()
