"""What the pipeline's pods get on a cluster: `--cluster FILE`, a YAML file of ClusterConfig.

infra/kubernetes/pipeline/ holds examples. `placing` applies it to the pipeline's tasks.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from geovr.config import Config, read_params, validate
from geovr.errors import UserError
from geovr.launch_config import DnsName, LaunchConfig, SecretKey, Toleration
from geovr.notify import NotifyConfig
from geovr.stages import BY_NAME

STEPS = (*BY_NAME, "notify")
_UNITS = {
    "": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|[MGT]|[KMGT]i)?")
Cpus = Annotated[str, StringConstraints(pattern=r"^(\d+(\.\d+)?|\d+m)$")]
Bytes = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?([MGT]|[KMGT]i)$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def amount(quantity: str) -> float:
    """A Kubernetes quantity as a number."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity}: no Kubernetes quantity, such as 500m or 4Gi")
    return float(found[1]) * _UNITS[found[2] or ""]


class Retries(Config):
    """Whether Kubeflow starts a step again; it does so whatever the step failed of."""

    count: int = Field(2, ge=0, le=10, description="Tries after the first.")
    wait_s: int = Field(60, ge=0, description="Before the first of them.")
    factor: int = Field(2, ge=1, description="By which each wait is longer than the last.")
    """Argo reads no fractions."""

    def within_s(self, timeout_s: int) -> int:
        """Seconds from a step's first start within which it may be started again.

        Kubeflow calls that back-off's longest duration, and its default of an hour would leave a
        step that fails after a day without a second try: all tries and waits must fit.

        Args:
            timeout_s: of one try.
        """
        waits = sum(self.wait_s * self.factor**number for number in range(self.count))
        return (self.count + 1) * timeout_s + waits


class StepConfig(Config):
    """One step's pod."""

    launches: bool = Field(
        False, description="Its work is a TorchX job (launch.scheduler kubernetes): a small pod."
    )
    cpu_request: Cpus = "1"
    cpu_limit: Cpus = "2"
    memory_request: Bytes = "4Gi"
    memory_limit: Bytes = Field("8Gi", description="With what /dev/shm holds.")
    gpus: int = Field(0, ge=0, description="For a stage that runs in the pod itself.")
    shared_memory: Bytes | None = Field(None, description="Size of /dev/shm, in memory.")
    scratch: Bytes = Field("10Gi", description="Size of /tmp; nothing else can be written to.")
    timeout_s: int = Field(7200, gt=0, description="After which the pod is ended.")
    retries: Retries = Retries()

    @model_validator(mode="after")
    def _fits(self) -> StepConfig:
        for name in ("cpu", "memory"):
            request, limit = getattr(self, f"{name}_request"), getattr(self, f"{name}_limit")
            if amount(request) > amount(limit):
                raise ValueError(f"{name}_request {request} is above {name}_limit {limit}")
        if self.shared_memory and amount(self.shared_memory) >= amount(self.memory_limit):
            raise ValueError(
                f"shared_memory {self.shared_memory} counts in memory_limit {self.memory_limit};"
                " leave memory for the program"
            )
        if self.launches and self.gpus:
            raise ValueError(
                "a step that launches needs no gpus; its job's are in launch.resources"
            )
        return self


_LAUNCHER: dict[str, Any] = {
    "launches": True, "cpu_request": "250m", "cpu_limit": "2",
    "memory_request": "2Gi", "memory_limit": "4Gi",
}  # fmt: skip
_ON_GPU: dict[str, Any] = {
    "cpu_request": "8", "cpu_limit": "16", "memory_request": "64Gi", "memory_limit": "96Gi",
    "gpus": 1, "shared_memory": "16Gi", "scratch": "100Gi",
}  # fmt: skip
_NEVER = {"count": 0}
"""A refusal stays one, and a version that was registered in part must be looked at."""
_DEFAULTS: dict[str, dict[str, Any]] = {
    "ingest": {
        "cpu_request": "4", "cpu_limit": "8", "memory_request": "8Gi", "memory_limit": "16Gi",
        "shared_memory": "2Gi", "scratch": "50Gi", "timeout_s": 12 * 3600,
    },
    "check_clips": {"retries": _NEVER},
    "extract_targets": {"timeout_s": 3 * 86400},
    "check_targets": {"retries": _NEVER},
    "train": {"timeout_s": 14 * 86400},
    "evaluate": {"timeout_s": 2 * 86400},
    "register": {"retries": _NEVER},
    "notify": {
        "cpu_request": "100m", "cpu_limit": "1", "memory_request": "512Mi", "memory_limit": "2Gi",
        "scratch": "1Gi", "timeout_s": 900, "retries": _NEVER,
    },
}  # fmt: skip


def _defaults(name: str, given: dict[str, Any]) -> dict[str, Any]:
    stage = BY_NAME.get(name)
    placed = {}
    if stage is not None and stage.launchable:
        placed = _LAUNCHER if given.get("launches", True) is True else _ON_GPU
    return placed | _DEFAULTS[name]


class StepSecret(SecretKey):
    """One key of a Kubernetes secret, and the steps that see it."""

    steps: tuple[str, ...] = Field((), description="All when none is given.")

    @field_validator("steps")
    @classmethod
    def _known(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        for name in steps:
            if name not in STEPS:
                raise ValueError(f"{name} is no step; known are {', '.join(STEPS)}")
        return steps


class ConfigMapKey(Config):
    """One key of a ConfigMap."""

    name: DnsName
    key: str


class GpuNodes(Config):
    """Where steps with GPUs run; a run can choose others by the pipeline's parameters."""

    accelerator: str = Field("nvidia.com/gpu", description="The device plugin's resource.")
    node_selector: dict[str, str] = Field({}, description="Labels a node must have.")
    tolerations: tuple[Toleration, ...] = Field(
        (Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),),
        description="Taints that are put up with.",
    )


class RunLimits(Config):
    """The whole run."""

    deadline_s: int = Field(21 * 86400, gt=0, description="After which the run is ended.")
    kept_after_success_s: int = Field(86400, gt=0, description="Its pods and their logs.")
    kept_after_failure_s: int = Field(7 * 86400, gt=0, description="The same, of a failed run.")


class ClusterConfig(Config):
    """The pods of the pipeline's steps. The jobs that steps launch have STAGE.launch instead."""

    steps: dict[str, StepConfig] = Field({}, description="Step -> its pod.")
    run: RunLimits = RunLimits()
    user: int = Field(1000, ge=1, description="User id in the pods; never root.")
    group: int = Field(1000, ge=1, description="Group id in the pods.")
    image_pull_secrets: tuple[DnsName, ...] = Field((), description="Names of secrets.")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    secrets: dict[Variable, StepSecret] = Field({}, description="Variable -> key of a secret.")
    config_maps: dict[Variable, ConfigMapKey] = Field({}, description="Variable -> key of one.")
    labels: dict[str, str] = Field({}, description="On every pod.")
    annotations: dict[str, str] = Field({}, description="On every pod; nothing secret.")
    node_selector: dict[str, str] = Field({}, description="Of steps without GPUs.")
    tolerations: tuple[Toleration, ...] = Field((), description="Of steps without GPUs.")
    gpu: GpuNodes = GpuNodes()
    notify: NotifyConfig | None = Field(None, description="Who is told when a run has ended.")

    def running(self) -> tuple[str, ...]:
        """The steps of a run."""
        return STEPS if self.notify is not None else tuple(BY_NAME)

    @field_validator("steps", mode="before")
    @classmethod
    def _of_every_step(cls, given: Any) -> Any:
        """All steps, each with its own defaults below what is given."""
        if not isinstance(given, dict):
            return given
        for name in given:
            if name not in STEPS:
                near = difflib.get_close_matches(str(name), STEPS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(STEPS)}"
                raise ValueError(f"{name}: no step of the pipeline; {hint}")
        own = {name: given.get(name) or {} for name in STEPS}
        return {
            name: _defaults(name, values) | values if isinstance(values, dict) else values
            for name, values in own.items()
        }


def check_launches(cluster: ClusterConfig, parameters: Mapping[str, str]) -> None:
    """Require that pods are made for what runs in them.

    Args:
        cluster: the settings that the pipeline was compiled with.
        parameters: stage -> its config as JSON, of the run.

    Raises:
        UserError: for a stage that would run in a launcher's pod, or launch from a large one.
    """
    for name, text in parameters.items():
        launch = json.loads(text).get("launch")
        if launch is None:
            continue
        scheduler = launch.get("scheduler", LaunchConfig().scheduler)
        if (scheduler == "kubernetes") != cluster.steps[name].launches:
            raise UserError(
                f"{name}.launch.scheduler: {scheduler}, but the cluster settings have"
                f" steps.{name}.launches: {str(cluster.steps[name].launches).lower()}; a stage"
                " launches with scheduler kubernetes, and runs in its pod with inline"
            )


def read_cluster(path: Path) -> ClusterConfig:
    """Read the file of `--cluster`.

    Raises:
        UserError: naming the file and each bad key.
    """
    values = read_params(path, "file of cluster settings", "--cluster")
    return validate(ClusterConfig, values, source=str(path))
