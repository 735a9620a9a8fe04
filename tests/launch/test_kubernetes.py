"""The job as Kubernetes gets it: golden, valid, and with no secret or random name in it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from geovr import launch
from geovr.config import validate
from geovr.errors import UserError
from geovr.launch.volcano import VolcanoJob
from geovr.launch_config import KubernetesConfig, LaunchConfig
from geovr.stages import BY_NAME
from geovr.stages.run import stage_config
from tests.workspace import REPOSITORY

GOLDEN = REPOSITORY / "tests/golden/train-job.yaml"
PARAMS = REPOSITORY / "tests/golden/train-job-params.yaml"
SIZE = [
    "train.launch.scheduler=kubernetes",
    "train.launch.nodes=4",
    "train.launch.processes_per_node=8",
]
INPUTS = {"clips": "artifacts/clips", "targets": "artifacts/targets"}


def render(*overrides: str, inputs: dict[str, str] = INPUTS) -> dict[str, Any]:
    config = stage_config(BY_NAME["train"], PARAMS, [*SIZE, *overrides])
    job: dict[str, Any] = yaml.safe_load(launch.dry_run("train", config, inputs))
    return job


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return render()


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [task["template"] for task in job["spec"]["tasks"]]


def without_name(text: str) -> str:
    """The name hashes the whole config of training, which grows; the rest of the job doesn't."""
    return re.sub(r"geovr-train-[0-9a-f]{12}", "geovr-train-NAME", text)


def test_golden(job: dict[str, Any]) -> None:
    """To change it on purpose: `make golden`, and look at the difference before committing."""
    golden = without_name(GOLDEN.read_text())
    assert json.loads(without_name(json.dumps(job))) == yaml.safe_load(golden)


def test_the_command_line_prints_it(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from geovr.cli import app

    # nothing is asked, so nothing needs to be there
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    with pytest.raises(SystemExit) as end:
        app(["launch", "train", "--params", str(PARAMS), "--scheduler", "kubernetes",
             "--nodes", "4", "--processes-per-node", "8", "--dry-run"])  # fmt: skip
    assert end.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out) == job


@pytest.mark.fault(53)
@pytest.mark.parametrize("version", ["1.28", kubernetes_validate.latest_version()])
def test_pod_templates_fit_the_schemas_of_kubernetes(job: dict[str, Any], version: str) -> None:
    for pod in pods(job):
        whole = {"apiVersion": "v1", "kind": "Pod", **pod}
        kubernetes_validate.validate(whole, version, strict=True)
    pods(job)[0]["spec"]["containers"][0]["volumeMount"] = []
    whole = {"apiVersion": "v1", "kind": "Pod", **pods(job)[0]}
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        kubernetes_validate.validate(whole, version, strict=True)
    del pods(job)[0]["spec"]["containers"][0]["volumeMount"]


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("spec.minAvailable", 3, "all nodes start together"),
        ("spec.tasks.0.name", "geovr-1", "two tasks have one name"),
        ("spec.tasks.0.policies.0.exitCode", 0, "greater than or equal to 1"),
        ("spec.tasks.0.policies.1.exitCode", 2, "two policies"),
        ("spec.tasks.0.policies.2.exitCode", 7, "either an event or an exitCode"),
        ("spec.tasks.0.policies.0.action", "Retry", "RestartJob"),
        ("spec.maxRetry", "5", "valid integer"),
        ("spec.retries", 5, "Extra inputs"),
        ("metadata.name", "x" * 55, "longer than 63"),
        ("apiVersion", "batch/v1", "v1alpha1"),
    ],
)
def test_volcanos_rules(job: dict[str, Any], path: str, value: Any, fault: str) -> None:
    changed = json.loads(json.dumps(job))
    VolcanoJob.model_validate(changed)
    node: Any = changed
    *parents, leaf = path.split(".")
    for key in parents:
        node = node[int(key) if key.isdigit() else key]
    node[leaf] = value
    with pytest.raises(ValidationError, match=fault):
        VolcanoJob.model_validate(changed)


def test_a_users_mistake_ends_the_job_and_everything_else_restarts_it(job: dict[str, Any]) -> None:
    """Volcano takes the first policy that fits, and a failing pod is PodFailed and a code."""
    for task in job["spec"]["tasks"]:

        def action(code: int, policies: list[dict[str, Any]] = task["policies"]) -> str:
            return next(
                str(policy["action"])
                for policy in policies
                if policy.get("event") == "PodFailed" or policy.get("exitCode") == code
            )

        assert [action(code) for code in (2, 3)] == ["TerminateJob"] * 2
        assert [action(code) for code in (1, 75, 137, 143)] == ["RestartJob"] * 4
        assert {"event": "PodEvicted", "action": "RestartJob"} in task["policies"]
    assert job["spec"]["maxRetry"] == 5


@pytest.mark.fault(53)
def test_pods_are_restricted_and_have_what_training_needs(job: dict[str, Any]) -> None:
    for pod in pods(job):
        spec = pod["spec"]
        (container,) = spec["containers"]
        security = container["securityContext"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert spec["securityContext"]["runAsUser"] != 0
        assert not any("hostPath" in volume for volume in spec["volumes"])
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "64G"}
        assert set(mounts.values()) == set(volumes)
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
        names = [variable["name"] for variable in container["env"]]
        assert len(set(names)) == len(names)
        grace = next(e["value"] for e in container["env"] if e["name"] == "PET_SHUTDOWN_TIMEOUT")
        assert int(grace) < spec["terminationGracePeriodSeconds"]


def test_rdma_adds_the_one_capability_that_it_needs() -> None:
    rdma = "train.launch.kubernetes.rdma={resource: rdma/ib, count: 8}"
    (container,) = pods(render(rdma))[0]["spec"]["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
    assert container["resources"]["limits"]["rdma/ib"] == "8"
    assert {e["name"]: e.get("value") for e in container["env"]}["NCCL_IB_HCA"] == "mlx5"


@pytest.mark.fault(52)
def test_secrets_are_named_and_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "opensesame")
    text = json.dumps(render())
    assert "opensesame" not in text
    assert '"secretKeyRef": {"name": "geovr-s3", "key": "AWS_SECRET_ACCESS_KEY"}' in text


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "OPENAI_API_KEY"]
)
def test_plain_secrets_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} looks like a secret"):
        validate(KubernetesConfig, {"env": {name: "x"}}, source="params.yaml")


def test_the_users_variables_win_and_stay_literal() -> None:
    env = 'train.launch.kubernetes.env={OMP_NUM_THREADS: "3", NOTE: "$(HOME) ${x} $y"}'
    (container,) = pods(render(env))[0]["spec"]["containers"]
    values = {e["name"]: e.get("value") for e in container["env"]}
    assert values["OMP_NUM_THREADS"] == "3"
    assert values["NOTE"] == "$$(HOME) ${x} $y"


def test_the_name_says_what_is_computed_and_not_where() -> None:
    def name(*overrides: str, **inputs: str) -> str:
        return str(render(*overrides, inputs=INPUTS | inputs)["metadata"]["name"])

    assert name() == name()
    assert name() == name("train.launch.nodes=2") == name("train.launch.kubernetes.queue=other")
    assert len({name(), name("train.seed=43"), name(clips="other/clips")}) == 3


def test_node_0_is_the_rendezvous_of_all(job: dict[str, Any]) -> None:
    """Volcano's env plugin gives each task's hosts as VC_<TASK>_HOSTS."""
    for number, pod in enumerate(pods(job)):
        shell, option, command = pod["spec"]["containers"][0]["command"]
        assert (shell, option) == ("bash", "-c")
        words = shlex.split(command)
        host = "TORCHX_RANK0_HOST" if number == 0 else "VC_GEOVR_0_HOSTS"
        assert words[words.index("--rdzv_endpoint") + 1] == f"${{{host}:=localhost}}:29500"
        assert words[words.index("--rdzv_id") + 1] == job["metadata"]["name"]
        assert words[words.index("--nnodes") + 1] == "4"
    assert job["spec"]["plugins"] == {"svc": ["--publish-not-ready-addresses"], "env": []}


@pytest.mark.fault(55)
@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("store=.geovr/store", "store .geovr/store: pods can't see it"),
        ("store=/models/$x", "can't contain"),
        ("train.launch.image=geovr/train:latest", "name it by its digest"),
        ("train.launch.image=null", "needs `image`"),
        ("train.launch.kubernetes.queue=No Such", "queue"),
        ("train.launch.kubernetes.spots=gke", "did you mean 'spot'"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_is_submitted(
    override: str, fault: str
) -> None:
    with pytest.raises(UserError, match=re.escape(fault)):
        render(override)


def test_a_store_on_a_mounted_claim_can_be_reached() -> None:
    text = json.dumps(render("store=/models/store"))
    assert re.search(r"--job /models/store/jobs/geovr-train-[0-9a-f]{12}", text)


def test_spot_nodes_of_every_provider_are_asked_for_and_put_up_with() -> None:
    for provider in ("gke", "aks", "eks", "karpenter"):
        spec = pods(render(f"train.launch.kubernetes.spot={provider}"))[0]["spec"]
        tolerated = {t["key"]: t.get("value") for t in spec["tolerations"]}
        shared = spec["nodeSelector"].items() & tolerated.items()
        assert len(shared) == 1
        assert spec["nodeSelector"]["accelerator"] == "h100"


def test_local_schedulers_describe_their_job(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("train: {base_model: m, steps: 1}")
    for scheduler, word in (("local_cwd", "TORCHX_RANK0_HOST"), ("local_docker", "some:image")):
        section = f"train.launch={{scheduler: {scheduler}, nodes: 2, image: 'some:image'}}"
        config = stage_config(BY_NAME["train"], params, [section])
        assert word in launch.dry_run("train", config, INPUTS)
    with pytest.raises(UserError, match="inline starts no job"):
        launch.dry_run("train", stage_config(BY_NAME["train"], params, []), INPUTS)


def test_defaults_run_in_this_process() -> None:
    assert LaunchConfig().scheduler == "inline"
