"""Where a stage runs, and on how many processes. None of it decides what is computed."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from geovr.config import Config

DnsName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)
]
SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY"
)
"""In a variable's name: its value is nobody else's business."""

SPOT = {
    "gke": ("cloud.google.com/gke-spot", "true"),
    "aks": ("kubernetes.azure.com/scalesetpriority", "spot"),
    "eks": ("eks.amazonaws.com/capacityType", "SPOT"),
    "karpenter": ("karpenter.sh/capacity-type", "spot"),
}
"""Label by which each provider marks nodes that it may take back; their taints are the same."""


class Resources(Config):
    """What one node (container) of a job gets, on local_docker and kubernetes."""

    cpus: int = Field(8, ge=1, description="CPU cores.")
    memory_gb: int = Field(64, ge=1, description="Memory in GB, shared memory included.")
    gpus: int | None = Field(None, ge=0, description="GPUs; one a process when not given.")


class Toleration(Config):
    """A taint that the pods put up with, as Kubernetes writes it."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class SecretKey(Config):
    """One key of a Kubernetes secret; its value never passes through GeoVR's hands."""

    name: DnsName
    key: str


class Volume(Config):
    """A claim (PVC) that all pods mount at one path."""

    claim: DnsName
    path: str = Field(..., pattern=r"^/[^$:]+$", description="Absolute path in the pods.")
    read_only: bool = False


class Rdma(Config):
    """Network devices for NCCL that bypass the kernel."""

    resource: str = Field(..., description="The device plugin's resource, e.g. rdma/ib.")
    count: int = Field(1, ge=1, description="Devices a pod.")
    devices: str = Field("mlx5", description="NCCL_IB_HCA: which devices NCCL takes.")


class KubernetesConfig(Config):
    """A Volcano job on Kubernetes."""

    namespace: DnsName = "default"
    queue: DnsName = "default"
    service_account: DnsName | None = None
    priority_class: DnsName | None = None
    image_pull_secrets: list[DnsName] = Field([], description="Names of secrets.")
    node_selector: dict[str, str] = Field({}, description="Labels a node must have.")
    tolerations: list[Toleration] = Field([], description="Taints that are put up with.")
    spot: Literal["gke", "aks", "eks", "karpenter"] | None = Field(
        None, description="Run on nodes that this provider may take back at any time."
    )
    env: dict[str, str] = Field({}, description="Plain variables; nothing secret.")
    secrets: dict[str, SecretKey] = Field({}, description="Variable -> key of a secret.")
    volumes: list[Volume] = Field([], description="Claims that every pod mounts.")
    shared_memory_gb: int = Field(16, ge=1, description="Size of /dev/shm.")
    scratch_gb: int = Field(32, ge=1, description="Size of /tmp; nothing else can be written to.")
    rdma: Rdma | None = None
    network_interface: str = Field("eth0", description="For rendezvous, gloo and NCCL's set-up.")
    user: int = Field(1000, ge=1, description="User id in the pods; never root.")
    grace_s: int = Field(
        120, ge=40, description="Seconds between SIGTERM and SIGKILL, to save a checkpoint in."
    )

    @field_validator("env")
    @classmethod
    def _nothing_secret(cls, env: dict[str, str]) -> dict[str, str]:
        for name in env:
            if SECRET_NAME.search(name.upper()):
                raise ValueError(
                    f"{name} looks like a secret; name the Kubernetes secret that holds it under"
                    " `secrets` instead"
                )
        return env


class LaunchConfig(Config):
    """Where a stage runs, and on how many processes. It never decides what is computed."""

    scheduler: Literal["inline", "local_cwd", "local_docker", "kubernetes"] = Field(
        "inline", description="inline: this process; the others through TorchX."
    )
    nodes: int = Field(1, ge=1, description="Number of nodes (agents of torchrun).")
    processes_per_node: int = Field(1, ge=1, description="Processes (ranks) on each node.")
    max_retries: int = Field(
        3,
        ge=0,
        description="Restarts after a lost node or an interruption, never a user's mistake.",
    )
    image: str | None = Field(
        None, description="For local_docker and kubernetes; the latter by digest."
    )
    resources: Resources = Resources()
    kubernetes: KubernetesConfig = KubernetesConfig()

    @model_validator(mode="after")
    def _image_is_known(self) -> LaunchConfig:
        if self.scheduler in ("local_docker", "kubernetes") and not self.image:
            raise ValueError(f"scheduler {self.scheduler} needs `image`")
        pinned = re.search(r"@sha256:[0-9a-f]{64}$", self.image or "")
        if self.scheduler == "kubernetes" and not pinned:
            raise ValueError(
                f"image: {self.image}: name it by its digest, as NAME@sha256:..., so that a restart"
                " runs the same code"
            )
        return self

    @property
    def gpus(self) -> int:
        """GPUs of one node."""
        given = self.resources.gpus
        return self.processes_per_node if given is None else given
