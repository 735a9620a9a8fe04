"""A job on a cluster: submitted once, adopted, followed, cancelled; and every way it can end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import ClipSet, TargetSet
from geovr.config import StageConfig, validate
from geovr.errors import GateRefused, Interrupted, UserError
from geovr.launch import cluster as launcher
from geovr.launch.channel import Channel
from geovr.stages import BY_NAME
from tests.launch.cluster import Cluster
from tests.workspace import Workspace, environment

STAGE = BY_NAME["extract_targets"]
IMAGE = "geovr/cpu@sha256:" + "0" * 64


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    held = Cluster()
    # the client reads KUBECONFIG once, when it is imported
    path = str(held.kubeconfig(tmp_path / "kubeconfig"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
    yield held
    held.close()


class Job:
    """A stage whose pods are the test's."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root, self.cluster = root, cluster
        directory = root / "clips"
        directory.mkdir()
        ClipSet.commit(directory, inputs={}, config={}, counts={}, store=self.store, content="none")

    @property
    def store(self) -> str:
        return str(self.root / "store")

    def config(self, **launch: Any) -> StageConfig:
        values = {
            "store": self.store,
            "teacher": "oracle",
            "oracle": {"ground_truth": "gt"},
            "launch": {
                "scheduler": "kubernetes",
                "image": IMAGE,
                "kubernetes": {"volumes": [{"claim": "data", "path": str(self.root)}]},
                **launch,
            },
        }
        return validate(STAGE.config_class(), values, source="test")

    def run(self, patience_s: float = 30.0) -> None:
        config = self.config()
        launcher.run(
            STAGE, config, config.launch, {"clips": str(self.root / "clips")},  # type: ignore[attr-defined]
            self.root / "output", poll_s=0.02, patience_s=patience_s,
        )  # fmt: skip

    def channel(self, name: str) -> Channel:
        return Channel(f"{self.store}/jobs/{name}")

    def finish(self, name: str, text: str = "here") -> None:
        """What rank 0 and Volcano do at the end."""
        made = self.root / "made"
        made.mkdir(exist_ok=True)
        (made / "index.parquet").write_text(text)
        (made / "manifest.json").write_text("{}")
        self.channel(name).put_output(made)
        self.cluster.phase(name, "Completed")


@pytest.fixture
def job(tmp_path: Path, cluster: Cluster) -> Job:
    return Job(tmp_path, cluster)


def meanwhile(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_the_output_comes_back(job: Job, cluster: Cluster) -> None:
    def volcano() -> None:
        name = cluster.wait_for()
        for phase in ("Pending", "Running", "Restarting", "Running", "Completing"):
            cluster.phase(name, phase)
            time.sleep(0.05)
        work = job.channel(name).work()
        # pods read what the launcher had in a directory of its own
        assert ClipSet.load(work.inputs["clips"]).digest
        job.finish(name)

    meanwhile(volcano)
    job.run()
    assert (job.root / "output/index.parquet").read_text() == "here"
    assert (job.root / "output/manifest.json").is_file()


def test_a_running_job_of_the_same_work_is_adopted(job: Job, cluster: Cluster) -> None:
    config = job.config(nodes=2, processes_per_node=4)
    inputs = {"clips": str(job.root / "clips")}
    info = launcher.render(STAGE, config, config.launch, inputs)  # type: ignore[attr-defined]
    name = info.request.resource["metadata"]["name"]
    cluster.jobs[name] = dict(info.request.resource)
    cluster.phase(name, "Running")

    def volcano() -> None:
        time.sleep(0.2)
        job.finish(name, "theirs")

    meanwhile(volcano)
    job.run()
    assert cluster.created == []
    assert (job.root / "output/index.parquet").read_text() == "theirs"


def test_of_two_launchers_at_once_one_submits_and_both_wait(
    job: Job, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's job appears between our look and our submission: a 409 means adopt."""
    real = launcher._runs

    def late(runner: Any, handle: str) -> bool:
        found = real(runner, handle)
        name = handle.rpartition(":")[2]
        cluster.jobs[name] = {"metadata": {"name": name}}
        cluster.phase(name, "Running")
        meanwhile(lambda: (time.sleep(0.3), job.finish(name))[1])
        return found

    monkeypatch.setattr(launcher, "_runs", late)
    job.run()
    assert cluster.created == []


@pytest.mark.parametrize("phase", ["Completed", "Failed", "Aborted", "Terminated"])
def test_an_ended_job_gives_its_name_away(job: Job, cluster: Cluster, phase: str) -> None:
    def volcano(count: int, text: str) -> None:
        job.finish(cluster.wait_for(count), text)

    meanwhile(lambda: volcano(1, "first"))
    job.run()
    (name,) = cluster.created
    cluster.phase(name, phase)
    meanwhile(lambda: volcano(2, "second"))
    job.run()
    assert cluster.created == [name, name]
    assert (job.root / "output/index.parquet").read_text() == "second"


@pytest.mark.parametrize("kind", [UserError, GateRefused])
def test_a_rank_s_own_words_reach_the_user(
    job: Job, cluster: Cluster, kind: type[Exception]
) -> None:
    def pods() -> None:
        name = cluster.wait_for()
        job.channel(name).tell(Interrupted("a restart before"))
        job.channel(name).tell(kind("clips/7.mp4: too short"))
        job.channel(name).tell(UserError("a later one"))
        cluster.phase(name, "Terminated")

    meanwhile(pods)
    with pytest.raises(kind, match=r"clips/7\.mp4: too short"):
        job.run()


def test_words_of_an_earlier_job_are_forgotten(job: Job, cluster: Cluster) -> None:
    def mistaken() -> None:
        name = cluster.wait_for()
        job.channel(name).tell(UserError("no such file"))
        cluster.phase(name, "Terminated")

    meanwhile(mistaken)
    with pytest.raises(UserError, match="no such file"):
        job.run()
    meanwhile(lambda: cluster.phase(cluster.wait_for(2), "Failed"))
    with pytest.raises(RuntimeError, match="ended FAILED"):
        job.run()


def test_a_vanished_job_is_a_failure(job: Job, cluster: Cluster) -> None:
    def delete() -> None:
        name = cluster.wait_for()
        cluster.phase(name, "Running")
        time.sleep(0.1)
        del cluster.jobs[name]

    meanwhile(delete)
    with pytest.raises(RuntimeError, match="ended VANISHED"):
        job.run()
    assert not (job.root / "output").exists()


def test_success_without_an_output_is_a_failure(job: Job, cluster: Cluster) -> None:
    meanwhile(lambda: cluster.phase(cluster.wait_for(), "Completed"))
    with pytest.raises(RuntimeError, match="left no output"):
        job.run()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_job(job: Job, cluster: Cluster, number: signal.Signals) -> None:
    def stop() -> None:
        cluster.phase(cluster.wait_for(), "Running")
        time.sleep(0.1)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    meanwhile(stop)
    with pytest.raises(Interrupted, match="the same command goes on"):
        job.run()
    (name,) = cluster.created
    assert cluster.jobs[name]["status"]["state"]["phase"] == "Aborted"
    assert signal.getsignal(number) is before


def test_an_api_server_that_is_away_for_a_moment_costs_nothing(job: Job, cluster: Cluster) -> None:
    def volcano() -> None:
        name = cluster.wait_for()
        cluster.phase(name, "Running")
        cluster.broken_for = 3
        while cluster.broken_for:
            time.sleep(0.01)
        job.finish(name)

    meanwhile(volcano)
    job.run()
    assert (job.root / "output/manifest.json").is_file()


def test_one_that_stays_away_ends_the_launcher_and_not_the_job(job: Job, cluster: Cluster) -> None:
    def volcano() -> None:
        cluster.phase(cluster.wait_for(), "Running")
        cluster.broken_for = 10**9

    meanwhile(volcano)
    with pytest.raises(RuntimeError, match="may still run, and the same command finds it again"):
        job.run(patience_s=0.3)
    (name,) = cluster.created
    assert cluster.jobs[name]["status"]["state"]["phase"] == "Running"


def test_the_log_of_rank_0_is_followed_across_broken_connections(
    job: Job, cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which node rank 0 is on is decided by the rendezvous, and told by the rank itself."""
    cluster.break_logs_after = 2

    def pods() -> None:
        name = cluster.wait_for()
        job.channel(name).put_first_node(3)
        stamps = [f"2026-11-23T10:00:0{i}.123456789Z" for i in range(5)]
        cluster.logs[f"{name}-geovr-3-0"] = [f"{stamps[i]} step {i}" for i in range(3)]
        cluster.phase(name, "Running")
        time.sleep(0.5)
        cluster.logs[f"{name}-geovr-3-0"] += [f"{stamps[i]} step {i}" for i in range(3, 5)]
        # the last lines arrive while the job ends
        job.finish(name)

    meanwhile(pods)
    job.run()
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step")]
    assert told == [f"step {i}" for i in range(5)]
    assert cluster.log_connections >= 2


@pytest.mark.parametrize(
    ("code", "kind", "fault"),
    [(403, UserError, "may not use Volcano jobs in namespace default"), (500, RuntimeError, "500")],
)
def test_a_cluster_that_refuses_is_named(
    job: Job, cluster: Cluster, code: int, kind: type[Exception], fault: str
) -> None:
    cluster.broken_for, cluster.broken_code = 1, code
    with pytest.raises(kind, match=fault):
        job.run()
    assert cluster.created == []


def test_inputs_in_a_store_that_pods_can_t_see_are_refused(job: Job, cluster: Cluster) -> None:
    directory = job.root / "clips"
    ClipSet.commit(directory, inputs={}, config={}, counts={}, store="/home/me/store", content=0)
    with pytest.raises(UserError, match=re.escape("/home/me/store: pods can't see it")):
        job.run()
    assert cluster.created == []


def test_the_pods_command_does_the_work(
    workspace: Workspace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rendered command line and environment, run by bash as the container would."""
    workspace.inline("ingest", "--set", f"store={workspace.root}/.geovr/store")
    monkeypatch.chdir(workspace.root)
    values = {
        "store": f"{workspace.root}/.geovr/store",
        "teacher": "oracle",
        "oracle": {"ground_truth": f"{workspace.root}/data/rooms/ground_truth"},
        "launch": {
            "scheduler": "kubernetes",
            "image": IMAGE,
            "processes_per_node": 2,
            "kubernetes": {"volumes": [{"claim": "data", "path": str(workspace.root)}]},
        },
    }
    config = validate(STAGE.config_class(), values, source="test")
    codes = []

    def pod() -> None:
        name = cluster.wait_for()
        template = cluster.jobs[name]["spec"]["tasks"][0]["template"]
        (container,) = template["spec"]["containers"]
        given = {e["name"]: e["value"] for e in container["env"] if e["name"].startswith("GEOVR_N")}
        ended = subprocess.run(
            container["command"], env=environment(workspace.root) | given, check=False,
            cwd=workspace.root, capture_output=True, text=True,
        )  # fmt: skip
        codes.append((ended.returncode, ended.stderr[-2000:]))
        cluster.phase(name, "Completed" if ended.returncode == 0 else "Failed")

    thread = meanwhile(pod)
    output = workspace.root / "artifacts/targets"
    launcher.run(
        STAGE,
        config,
        config.launch,
        {"clips": "artifacts/clips"},
        output,
        poll_s=0.1,  # type: ignore[attr-defined]
    )
    thread.join()
    assert codes[0][0] == 0, codes
    assert len(TargetSet.load(output).index) == 8


def test_pods_say_what_the_user_did_wrong(job: Job, cluster: Cluster) -> None:
    """Volcano's policies read the agent's exit code; the user reads the rank's words."""
    codes = []

    def pod() -> None:
        name = cluster.wait_for()
        (container,) = cluster.jobs[name]["spec"]["tasks"][0]["template"]["spec"]["containers"]
        ended = subprocess.run(
            container["command"], env=environment(job.root) | {"GEOVR_NODE": "0"}, check=False,
            cwd=job.root, capture_output=True,
        )  # fmt: skip
        codes.append(ended.returncode)
        cluster.phase(name, "Terminated")

    # as if another hand had changed it on its way
    manifest = job.root / "clips/manifest.json"
    thread = meanwhile(pod)
    real = Channel.put_input

    def damaged(channel: Channel, name: str, directory: Path) -> str:
        uri = real(channel, name, directory)
        (Path(uri) / manifest.name).unlink()
        return uri

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Channel, "put_input", damaged)
        with pytest.raises(UserError, match=r"inputs/clips: no manifest\.json"):
            job.run()
    thread.join()
    assert codes == [2]
