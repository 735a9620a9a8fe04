"""What the compiled pipeline says of its pods on a cluster, read back from the file."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from geovr.errors import UserError
from geovr.stages import BY_NAME
from pipelines.__main__ import app
from pipelines.cluster import STEPS, ClusterConfig, read_cluster
from pipelines.compiling import Resources, write
from pipelines.images import read_images
from tests.workspace import REPOSITORY

GOLDEN = REPOSITORY / "tests/golden"
IMAGES = read_images(GOLDEN / "images.json")
CLUSTER = read_cluster(GOLDEN / "cluster.yaml")


@dataclass
class Compiled:
    """The two documents of a compiled pipeline."""

    pipeline: dict[str, Any]
    platform: dict[str, Any]

    @property
    def tasks(self) -> dict[str, Any]:
        """Step -> its task."""
        stages = self.pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
        tasks = stages | {"notify": self.pipeline["root"]["dag"]["tasks"]["notify"]}
        return {name.replace("-", "_"): task for name, task in tasks.items()}

    @property
    def containers(self) -> dict[str, Any]:
        """Step -> its container."""
        executors = self.pipeline["deploymentSpec"]["executors"]
        return {step(name): one["container"] for name, one in executors.items()}

    @property
    def pods(self) -> dict[str, Any]:
        """Step -> what kfp-kubernetes says of its pod."""
        kubernetes = self.platform["platforms"]["kubernetes"]
        return {step(name): one for name, one in kubernetes["deploymentSpec"]["executors"].items()}


def step(executor: str) -> str:
    return executor.removeprefix("exec-").replace("-", "_")


def compile_to(path: Path, cluster: ClusterConfig = CLUSTER, **options: Any) -> Compiled:
    write(path, IMAGES, cluster=cluster, **options)
    return Compiled(*yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compile_to(tmp_path_factory.mktemp("compiled") / "pipeline.yaml")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in (*value, *value.values()):
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def test_every_step_has_a_pod_of_its_own(compiled: Compiled) -> None:
    assert set(compiled.tasks) == set(compiled.containers) == set(compiled.pods) == set(STEPS)


def test_resources(compiled: Compiled) -> None:
    for name, container in compiled.containers.items():
        wanted, told = CLUSTER.steps[name], container["resources"]
        assert told["resourceCpuRequest"] == wanted.cpu_request
        assert told["resourceCpuLimit"] == wanted.cpu_limit
        assert told["resourceMemoryRequest"] == wanted.memory_request
        assert told["resourceMemoryLimit"] == wanted.memory_limit
        gpus = told.get("accelerator", {"resourceType": None, "resourceCount": None})
        wanted_gpus = ("example.com/gpu", "2") if name == "evaluate" else (None, None)
        assert (gpus["resourceType"], gpus["resourceCount"]) == wanted_gpus
    # given in the file, and a default
    assert compiled.containers["ingest"]["resources"]["resourceCpuLimit"] == "6"
    assert compiled.containers["train"]["resources"]["resourceMemoryLimit"] == "4Gi"


def test_images_by_digest_and_each_task_knows_its_own(compiled: Compiled) -> None:
    for name, container in compiled.containers.items():
        image = IMAGES.get(name, IMAGES["default"])
        assert container["image"] == image
        assert {"name": "GEOVR_IMAGE", "value": image} in container["env"]
    # nothing else is an image; a job's image comes with the run's parameters
    named = {s for s in strings(compiled.pipeline) if re.search(r"geovr/\w+(@|:\w)", s)}
    assert named == {IMAGES["default"], IMAGES["evaluate"]}


def test_gpu_nodes_are_parameters_with_a_default(compiled: Compiled) -> None:
    pod = compiled.pods["evaluate"]
    reference = {"componentInputParameter": "pipelinechannel--gpu_node_selector"}
    assert pod["nodeSelector"] == {"nodeSelectorJson": reference}
    reference = {"componentInputParameter": "pipelinechannel--gpu_tolerations"}
    assert pod["tolerations"] == [{"tolerationJson": reference}]
    parameters = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    assert parameters["gpu_node_selector"]["defaultValue"] == {"pool": "gpu"}
    assert parameters["gpu_tolerations"]["defaultValue"] == [
        {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    handed = compiled.pipeline["root"]["dag"]["tasks"]["exit-handler-1"]["inputs"]["parameters"]
    assert handed["pipelinechannel--gpu_tolerations"] == {
        "componentInputParameter": "gpu_tolerations"
    }


def test_other_steps_keep_off_gpu_nodes(compiled: Compiled) -> None:
    for name in set(STEPS) - {"evaluate"}:
        assert compiled.pods[name]["nodeSelector"] == {"labels": {"pool": "cpu"}}
        assert compiled.pods[name]["tolerations"] == [
            {"key": "pool", "operator": "Equal", "value": "cpu", "effect": "NoSchedule"}
        ]


def test_tmp_and_shared_memory(compiled: Compiled) -> None:
    for name, pod in compiled.pods.items():
        mounts = {one["mountPath"]: one for one in pod["emptyDirMounts"]}
        wanted = CLUSTER.steps[name]
        assert mounts["/tmp"]["sizeLimit"] == wanted.scratch
        assert "medium" not in mounts["/tmp"]
        assert ("/dev/shm" in mounts) == (wanted.shared_memory is not None)
        if wanted.shared_memory:
            assert mounts["/dev/shm"]["medium"] == "Memory"
            assert mounts["/dev/shm"]["sizeLimit"] == wanted.shared_memory
    assert {"/dev/shm", "/tmp"} == {
        one["mountPath"] for one in compiled.pods["evaluate"]["emptyDirMounts"]
    }


def test_nobody_is_root(compiled: Compiled) -> None:
    for pod in compiled.pods.values():
        assert pod["securityContext"] == {
            "runAsUser": "1234", "runAsGroup": "4321", "runAsNonRoot": True,
        }  # fmt: skip


def test_secrets_and_endpoints_come_by_reference(compiled: Compiled) -> None:
    for name, pod in compiled.pods.items():
        seen = variables(pod["secretAsEnv"], "secret")
        mlflow = {"MLFLOW_TRACKING_PASSWORD": ("geovr-mlflow-client", "MLFLOW_TRACKING_PASSWORD")}
        s3 = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        assert seen == {variable: ("geovr-s3", variable) for variable in s3} | (
            mlflow if name in ("check_clips", "train", "register") else {}
        )
        assert variables(pod["configMapAsEnv"], "configMap") == {
            variable: ("geovr-endpoints", variable)
            for variable in ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI")
        }
        assert not any(one["optional"] for one in pod["secretAsEnv"] + pod["configMapAsEnv"])
        assert pod["imagePullSecret"][0]["secretName"] == "geovr-registry"
        assert pod["imagePullPolicy"] == "Always"
        assert pod["fieldPathAsEnv"] == [
            {"name": "GEOVR_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
        ]
        mounted = pod.get("secretAsVolume", [])
        assert [one["secretName"] for one in mounted] == ["geovr-notify"] * (name == "notify")


def variables(groups: list[dict[str, Any]], kind: str) -> dict[str, tuple[str, str]]:
    return {
        pair["envVar"]: (group[f"{kind}Name"], pair[f"{kind}Key"])
        for group in groups
        for pair in group["keyToEnv"]
    }


def test_no_variable_is_literal_but_the_image(compiled: Compiled) -> None:
    for container in compiled.containers.values():
        assert [one["name"] for one in container["env"]] == ["GEOVR_IMAGE"]


def test_labels_and_annotations(compiled: Compiled) -> None:
    for name, pod in compiled.pods.items():
        assert pod["podMetadata"]["labels"] == {
            "app.kubernetes.io/part-of": "geovr", "geovr/step": name, "team": "perception",
        }  # fmt: skip
        assert pod["podMetadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}


def test_timeouts_and_limits_of_the_run(compiled: Compiled) -> None:
    for name, pod in compiled.pods.items():
        assert int(pod["activeDeadlineSeconds"]) == CLUSTER.steps[name].timeout_s
    assert compiled.platform["platforms"]["kubernetes"]["pipelineConfig"] == {
        "activeDeadlineSeconds": 1000000,
        "resourceTtlOnSuccess": 3600,
        "resourceTtlOnFailure": 7200,
    }


def test_work_is_tried_again_and_refusals_are_not(compiled: Compiled) -> None:
    tasks = copy.deepcopy(compiled.tasks)
    policies = {name: task.get("retryPolicy") for name, task in tasks.items()}
    for name in ("check_clips", "check_targets", "register", "notify"):
        assert policies.pop(name) is None
    for name, policy in policies.items():
        within = int(policy.pop("backoffMaxDuration").removesuffix("s"))
        waits = [int(policy["backoffDuration"].removesuffix("s")) * policy["backoffFactor"] ** n
                 for n in range(policy["maxRetryCount"])]  # fmt: skip
        # counted from the first start: a last try after the longest ones is still allowed
        assert within >= CLUSTER.steps[name].timeout_s * (len(waits) + 1) + sum(waits)
    default = {"maxRetryCount": 2, "backoffDuration": "60s", "backoffFactor": 2.0}
    assert policies == dict.fromkeys(("ingest", "extract_targets", "train"), default) | {
        "evaluate": {"maxRetryCount": 1, "backoffDuration": "30s", "backoffFactor": 3.0}
    }


@pytest.mark.parametrize("fixed_data", [False, True])
def test_caching(tmp_path: Path, fixed_data: bool) -> None:
    compiled = compile_to(tmp_path / "pipeline.yaml", fixed_data=fixed_data)
    cached = {n for n, t in compiled.tasks.items() if t["cachingOptions"].get("enableCache")}
    assert cached == set(BY_NAME) - {"register"} - (set() if fixed_data else {"ingest"})
    scheduled = compiled.tasks["ingest"]["inputs"]["parameters"]["scheduled"]["runtimeValue"]
    # a time that differs with every run would make a cache of none
    placeholder = "" if fixed_data else "{{$.pipeline_job_schedule_time_utc}}"
    assert scheduled == {"constant": placeholder}
    # nothing of one run alone is in what a cached task takes, and digests are
    for name in cached:
        inputs = compiled.tasks[name]["inputs"]
        assert not [s for s in strings(inputs) if "{{$" in s]
        artifacts = set(inputs.get("artifacts", {}))
        assert {f"{artifact}_digest" for artifact in artifacts} <= set(inputs["parameters"])
    for gate in ("check_clips", "check_targets"):
        assert "suite_digest" in compiled.tasks[gate]["inputs"]["parameters"]


def test_shards_are_made_inside_a_job(compiled: Compiled) -> None:
    """Kubeflow's loops lose retries on a cluster; extraction shards within its TorchX job."""
    tasks = [
        task
        for component in (compiled.pipeline["root"], *compiled.pipeline["components"].values())
        for task in component.get("dag", {}).get("tasks", {}).values()
    ]
    assert len(tasks) == len(STEPS) + 1
    for task in tasks:
        assert not {"parameterIterator", "artifactIterator", "iteratorPolicy"} & set(task)


def test_without_settings_nothing_is_said_of_pods(tmp_path: Path) -> None:
    write(tmp_path / "pipeline.yaml", {})
    (pipeline,) = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    for executor in pipeline["deploymentSpec"]["executors"].values():
        assert set(executor["container"]) == {"args", "command", "image"}


def test_without_a_webhook_the_stages_are_the_pipeline(tmp_path: Path) -> None:
    write(tmp_path / "p.yaml", IMAGES, cluster=CLUSTER.model_copy(update={"notify": None}))
    pipeline, platform = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert {step(name) for name in pipeline["root"]["dag"]["tasks"]} == set(BY_NAME)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {step(name) for name in executors} == set(BY_NAME)


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    options = [f"--cluster={GOLDEN}/cluster.yaml", f"--images={GOLDEN}/images.json"]
    command = [sys.executable, "-m", "pipelines", "compile", *options, "--output"]
    for seed in ("1", "2"):
        subprocess.run(
            [*command, str(tmp_path / f"{seed}.yaml")],
            cwd=REPOSITORY,
            # sets and protobuf's maps have another order then; and what is secret here stays here
            env=os.environ | {"PYTHONHASHSEED": seed, "AWS_SECRET_ACCESS_KEY": "canary-77"},
            check=True,
            capture_output=True,
        )
    one, two = ((tmp_path / f"{seed}.yaml").read_bytes() for seed in ("1", "2"))
    assert one == two and b"canary-77" not in one


def manifest(path: Path, *options: str) -> list[dict[str, Any]]:
    arguments = ["compile", "--output", str(path), "--manifest", *options]
    arguments += [
        "--cluster",
        str(GOLDEN / "cluster.yaml"),
        "--images",
        str(GOLDEN / "images.json"),
    ]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    return list(yaml.safe_load_all(path.read_text()))


def test_resources_of_the_native_mode_hold_the_same_pipeline(
    tmp_path: Path, compiled: Compiled
) -> None:
    pipeline, version = manifest(tmp_path / "m.yaml", "--namespace", "geovr", "--version", "v7")
    api = "pipelines.kubeflow.org/v2beta1"
    assert (pipeline["apiVersion"], pipeline["kind"]) == (api, "Pipeline")
    assert (version["apiVersion"], version["kind"]) == (api, "PipelineVersion")
    assert pipeline["metadata"] == {"name": "geovr-training", "namespace": "geovr"}
    assert version["metadata"] == {"name": "v7", "namespace": "geovr"}
    assert version["spec"]["pipelineName"] == "geovr-training"
    assert version["spec"]["pipelineSpec"] == compiled.pipeline
    assert version["spec"]["platformSpec"] == compiled.platform


def test_a_version_is_named_by_its_content(tmp_path: Path) -> None:
    _, first = manifest(tmp_path / "a.yaml")
    _, again = manifest(tmp_path / "b.yaml")
    _, other = manifest(tmp_path / "c.yaml", "--fixed-data")
    names = [one["metadata"]["name"] for one in (first, again, other)]
    assert names[0] == names[1] != names[2]
    assert re.fullmatch(r"geovr-training-[0-9a-f]{12}", names[0])
    assert "namespace" not in first["metadata"]


def test_what_cannot_be_compiled_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    with pytest.raises(UserError, match=r"--images: no image for .*notify.*`default`"):
        write(path, {"train": IMAGES["default"]}, cluster=CLUSTER)
    with pytest.raises(UserError, match=r"--output .*\.yaml"):
        write(tmp_path / "pipeline.json", IMAGES)
    with pytest.raises(UserError, match="--version V 7"):
        Resources(version="V 7")
    with pytest.raises(UserError, match="--namespace Geo"):
        Resources(namespace="Geo")
    with pytest.raises(UserError, match="of --manifest; give that too"):
        CliRunner().invoke(
            app, ["compile", "--output", str(path), "--version", "v7"], catch_exceptions=False
        )
    assert not path.exists()


def test_settings_are_told_to_the_last_step_without_a_key(compiled: Compiled) -> None:
    parameters = compiled.tasks["notify"]["inputs"]["parameters"]
    told = json.loads(parameters["config_json"]["runtimeValue"]["constant"])
    assert told["url"] == "https://hooks.example.com/geovr"
    assert told["key"] == {"name": "geovr-notify", "key": "hmac-key"}
    # nobody who starts a run can send it elsewhere
    inputs = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    assert not [name for name in inputs if "url" in name or "notify" in name]
