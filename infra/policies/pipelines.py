"""Pipelines that KFP's compiler wrote: alone, or within a PipelineVersion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.policies.manifests import Manifest, part
from infra.policies.rules import Found, rule

_SIDE_EFFECTS = ("register", "notify")


@dataclass(frozen=True)
class Compiled:
    """One compiled pipeline.

    Attributes:
        manifest: that holds it.
        where: prefix of its places.
        spec: the pipeline.
        platform: how its steps run on Kubernetes; None for the form that runs anywhere.
    """

    manifest: Manifest
    where: str
    spec: dict[str, Any]
    platform: dict[str, Any] | None

    def containers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Place and container of every executor."""
        for name, executor in _executors(self.spec).items():
            if container := part(executor, "container"):
                yield f"{self.where}deploymentSpec.executors.{name}.container", container

    def tasks(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Place, component's name and body of every task, of nested pipelines too."""
        dags = {"root": self.spec.get("root")}
        dags |= {f"components.{n}": c for n, c in part(self.spec, "components").items()}
        for where, holder in dags.items():
            for name in (tasks := part(holder, "dag", "tasks")):
                task = part(tasks, name)
                component = str(part(task, "componentRef").get("name", name))
                # `comp-register`, and `comp-register-2` where it is used again
                component = component.removeprefix("comp-").rstrip("-0123456789")
                yield f"{self.where}{where}.dag.tasks.{name}", component, task

    def on_kubernetes(self) -> dict[str, dict[str, Any]]:
        """Executor -> how it runs; empty for the form that runs anywhere."""
        return part(self.platform, "platforms", "kubernetes", "deploymentSpec", "executors")


def compiled(manifests: Sequence[Manifest]) -> Iterator[Compiled]:
    """The compiled pipelines among manifests."""
    for manifest in manifests:
        if manifest.kind == "pipeline":
            yield Compiled(manifest, "", manifest.body, manifest.platform)
        elif manifest.kind == "PipelineVersion":
            spec = part(manifest.body, "spec")
            platform = spec.get("platformSpec")
            yield Compiled(manifest, "spec.pipelineSpec.", part(spec, "pipelineSpec"), platform)


def _executors(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return part(spec, "deploymentSpec", "executors")


@rule("pipeline-limits", "on a cluster every step has a limit of memory")
def pipeline_limits(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for pipeline in compiled(manifests):
        if pipeline.platform is None:
            continue
        for where, container in pipeline.containers():
            resources = part(container, "resources")
            if not (resources.get("memoryLimit") or resources.get("resourceMemoryLimit")):
                yield pipeline.manifest, f"{where}.resources", "no limit of memory"


@rule("pipeline-non-root", "on a cluster every step says that it doesn't run as root")
def pipeline_non_root(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for pipeline in compiled(manifests):
        if pipeline.platform is None:
            continue
        known = pipeline.on_kubernetes()
        for name, executor in _executors(pipeline.spec).items():
            context = part(known, name, "securityContext")
            root = str(context.get("runAsUser", "1")) == "0"
            if part(executor, "container") and (root or context.get("runAsNonRoot") is not True):
                yield (
                    pipeline.manifest,
                    f"platforms.kubernetes.deploymentSpec.executors.{name}.securityContext",
                    "KFP doesn't say it by itself, and a restricted namespace refuses the pod",
                )


def _cached(task: dict[str, Any]) -> bool:
    return bool(part(task, "cachingOptions").get("enableCache"))


@rule("pipeline-cache", "what has effects beyond its output (register, exit handlers) isn't cached")
def pipeline_cache(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for pipeline in compiled(manifests):
        for where, component, task in pipeline.tasks():
            strategy = part(task, "triggerPolicy").get("strategy")
            if _cached(task) and (
                component in _SIDE_EFFECTS or strategy == "ALL_UPSTREAM_TASKS_COMPLETED"
            ):
                yield pipeline.manifest, f"{where}.cachingOptions", f"{component} is cached"


@rule("pipeline-data", "ingest isn't cached, unless a DVC revision fixes its data (--fixed-data)")
def pipeline_data(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for pipeline in compiled(manifests):
        for where, component, task in pipeline.tasks():
            if component == "ingest" and _cached(task):
                yield (
                    pipeline.manifest, f"{where}.cachingOptions",
                    "ingest is cached: what lies behind a path may have changed",
                )  # fmt: skip


@rule("pipeline-retry", "a gate isn't tried again: it would say the same")
def pipeline_retry(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for pipeline in compiled(manifests):
        for where, component, task in pipeline.tasks():
            if component.startswith("check-") and task.get("retryPolicy"):
                yield pipeline.manifest, f"{where}.retryPolicy", f"{component} is tried again"


@rule("pipeline-loop", "no ParallelFor: KFP drops retries and statuses within it")
def pipeline_loop(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for pipeline in compiled(manifests):
        for where, _, task in pipeline.tasks():
            if {"parameterIterator", "artifactIterator", "iteratorPolicy"} & set(task):
                yield pipeline.manifest, where, "a loop; shard within one step's job instead"
