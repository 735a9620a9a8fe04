"""A task of the pipeline, placed on a cluster as its settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl, kubernetes

from components.image import IMAGE
from geovr.launch_config import Toleration
from pipelines.cluster import ClusterConfig, ConfigMapKey, StepConfig, StepSecret

RUN_ID_LABEL = "pipeline/runid"
"""By which Kubeflow's server marks every pod of a run."""


def pipeline_config(cluster: ClusterConfig) -> dsl.PipelineConfig:
    """What holds for the whole run."""
    return dsl.PipelineConfig(
        ttl_seconds_after_success=cluster.run.kept_after_success_s,
        ttl_seconds_after_failure=cluster.run.kept_after_failure_s,
        active_deadline_seconds=cluster.run.deadline_s,
    )


class Placer:
    """Gives each task its image, and on a cluster its pod.

    Args:
        images: step (or `default`) -> image by digest.
        cluster: the settings; None says nothing of the pods.
        gpu_node_selector: pipeline parameter, for steps with GPUs.
        gpu_tolerations: the same.
    """

    def __init__(
        self,
        images: Mapping[str, str],
        cluster: ClusterConfig | None = None,
        gpu_node_selector: Any = None,
        gpu_tolerations: Any = None,
    ) -> None:
        self.images, self.cluster = images, cluster
        self.gpu_node_selector, self.gpu_tolerations = gpu_node_selector, gpu_tolerations

    def __call__(self, task: dsl.PipelineTask) -> dsl.PipelineTask:
        """Place a task; its name is its step's."""
        name = task.name.replace("-", "_")
        image = self.images.get(name, self.images.get("default", IMAGE))
        task.set_container_image(image)
        if self.cluster is not None:
            task.set_env_variable("GEOVR_IMAGE", image)
            self._pod(task, name, self.cluster)
        return task

    def _pod(self, task: dsl.PipelineTask, name: str, cluster: ClusterConfig) -> None:
        step = cluster.steps[name]
        _resources(task, step, cluster.gpu.accelerator)
        _volumes(task, step)
        _environment(task, name, cluster)
        kubernetes.set_security_context(
            task, run_as_user=cluster.user, run_as_group=cluster.group, run_as_non_root=True
        )
        if cluster.image_pull_secrets:
            kubernetes.set_image_pull_secrets(task, list(cluster.image_pull_secrets))
        kubernetes.set_image_pull_policy(task, cluster.image_pull_policy)
        if step.gpus:
            kubernetes.add_node_selector_json(task, self.gpu_node_selector)
            kubernetes.add_toleration_json(task, self.gpu_tolerations)
        else:
            for key, value in cluster.node_selector.items():
                kubernetes.add_node_selector(task, key, value)
            kubernetes.add_toleration_json(task, tolerations(cluster.tolerations))
        for key, value in {"app.kubernetes.io/part-of": "geovr", "geovr/step": name}.items():
            kubernetes.add_pod_label(task, key, value)
        for key, value in cluster.labels.items():
            kubernetes.add_pod_label(task, key, value)
        for key, value in cluster.annotations.items():
            kubernetes.add_pod_annotation(task, key, value)
        kubernetes.set_timeout(task, step.timeout_s)
        if step.retries.count:
            task.set_retry(
                step.retries.count,
                backoff_duration=f"{step.retries.wait_s}s",
                backoff_factor=float(step.retries.factor),
                backoff_max_duration=f"{step.retries.within_s(step.timeout_s)}s",
            )


def tolerations(given: tuple[Toleration, ...]) -> list[dict[str, str]]:
    """As Kubernetes writes them."""
    return [one.model_dump(exclude_none=True) for one in given]


def _resources(task: dsl.PipelineTask, step: StepConfig, accelerator: str) -> None:
    task.set_cpu_request(step.cpu_request).set_cpu_limit(step.cpu_limit)
    task.set_memory_request(step.memory_request).set_memory_limit(step.memory_limit)
    if step.gpus:
        task.set_accelerator_type(accelerator).set_accelerator_limit(step.gpus)


def _volumes(task: dsl.PipelineTask, step: StepConfig) -> None:
    # with a read-only root nothing else can be written to
    kubernetes.empty_dir_mount(task, "tmp", "/tmp", size_limit=step.scratch)
    if step.shared_memory:
        kubernetes.empty_dir_mount(
            task, "shared-memory", "/dev/shm", medium="Memory", size_limit=step.shared_memory
        )


def _environment(task: dsl.PipelineTask, name: str, cluster: ClusterConfig) -> None:
    kubernetes.use_field_path_as_env(task, "GEOVR_RUN_ID", f"metadata.labels['{RUN_ID_LABEL}']")
    secrets = {
        variable: one
        for variable, one in cluster.secrets.items()
        if not one.steps or name in one.steps
    }
    for secret, keys in _grouped(secrets):
        kubernetes.use_secret_as_env(task, secret, keys)
    for config_map, keys in _grouped(cluster.config_maps):
        kubernetes.use_config_map_as_env(task, config_map, keys)
    if name == "notify" and cluster.notify is not None:
        kubernetes.use_secret_as_volume(task, cluster.notify.key.name, cluster.notify.mounted_at)


def _grouped(
    variables: Mapping[str, StepSecret | ConfigMapKey],
) -> list[tuple[str, dict[str, str]]]:
    """Name of a secret or ConfigMap -> its keys and the variables that they become."""
    groups: list[tuple[str, dict[str, str]]] = []
    for variable, one in variables.items():
        keys = next((k for name, k in groups if name == one.name and one.key not in k), None)
        if keys is None:
            groups.append((one.name, {one.key: variable}))
        else:
            keys[one.key] = variable
    return groups
