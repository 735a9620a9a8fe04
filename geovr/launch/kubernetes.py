"""A job as Kubernetes gets it: TorchX's Volcano job under a name of ours, made fit for a cluster
that allows restricted pods only.

TorchX 2026.10.26 (its kubernetes scheduler) makes the name random, which would start a second job
where a retried launcher should find its first; gives every pod the same unlimited shared memory;
and lets any failure restart the job.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import ValidationError

from geovr.errors import GateRefused, UserError
from geovr.launch_config import SPOT, KubernetesConfig, LaunchConfig

_TORCHX_NOISE = {"TORCHX_INTERNAL_SESSION_ID"}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def options(launch: LaunchConfig) -> dict[str, Any]:
    """What TorchX's scheduler wants to know."""
    given = launch.kubernetes
    return {
        "namespace": given.namespace,
        "queue": given.queue,
        "service_account": given.service_account,
        "priority_class": given.priority_class,
        # it would ask the API server, and a dry run must work without one
        "validate_spec": False,
    }


def complete(rendered: Any, name: str, launch: LaunchConfig) -> dict[str, Any]:
    """The Volcano job to submit.

    Args:
        rendered: what TorchX made of the app (its dry-run request's resource).
        name: of the job.
        launch: where it runs.

    Raises:
        UserError: naming the field that Volcano would refuse.
    """
    from torchx.schedulers.kubernetes_scheduler import sanitize_for_serialization

    from geovr.launch.volcano import VolcanoJob

    plain = sanitize_for_serialization(rendered)
    text = json.dumps(plain).replace(plain["metadata"]["name"], name)
    job: dict[str, Any] = json.loads(text)
    job["metadata"]["namespace"] = launch.kubernetes.namespace
    job["metadata"]["labels"] = {"app.kubernetes.io/name": "geovr"}
    job["spec"]["minAvailable"] = launch.nodes
    for task in job["spec"]["tasks"]:
        task["policies"] = _policies()
        task["maxRetry"] = launch.max_retries
        _complete_pod(task["template"], launch)
    try:
        VolcanoJob.model_validate(job)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UserError("launch: not a job that Volcano takes:\n" + "\n".join(lines)) from None
    return job


def _policies() -> list[dict[str, Any]]:
    """What ends the job and what restarts it; Volcano takes the first that fits, so codes stand
    before PodFailed.
    """
    final = [UserError.exit_code, GateRefused.exit_code]
    return [
        *({"exitCode": code, "action": "TerminateJob"} for code in final),
        {"event": "PodEvicted", "action": "RestartJob"},
        {"event": "PodFailed", "action": "RestartJob"},
    ]


def _complete_pod(pod: dict[str, Any], launch: LaunchConfig) -> None:
    given = launch.kubernetes
    spec = pod["spec"]
    spec["terminationGracePeriodSeconds"] = given.grace_s
    spec["automountServiceAccountToken"] = False
    spec["enableServiceLinks"] = False
    spec["securityContext"] = {
        "runAsUser": given.user,
        "runAsGroup": given.user,
        # a mounted claim becomes writable for this group
        "fsGroup": given.user,
    }
    spec["nodeSelector"] = dict(given.node_selector)
    spec["tolerations"] = [t.model_dump(exclude_none=True) for t in given.tolerations]
    if given.spot is not None:
        key, value = SPOT[given.spot]
        spec["nodeSelector"][key] = value
        spec["tolerations"].append(
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
        )
    if given.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in given.image_pull_secrets]
    (container,) = spec["containers"]
    spec["volumes"], container["volumeMounts"] = _volumes(given)
    variables = {e["name"]: e for e in container["env"] if e["name"] not in _TORCHX_NOISE}
    # the user's own win
    container["env"] = list((variables | _environment(launch)).values())
    capabilities: dict[str, list[str]] = {"drop": ["ALL"]}
    if given.rdma is not None:
        for kind in ("limits", "requests"):
            container["resources"][kind][given.rdma.resource] = str(given.rdma.count)
        # registered memory must not be swapped out
        capabilities["add"] = ["IPC_LOCK"]
    container["securityContext"] = {**copy.deepcopy(_RESTRICTED), "capabilities": capabilities}


def _volumes(given: KubernetesConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes of a pod and where they are mounted."""
    shared = {"medium": "Memory", "sizeLimit": f"{given.shared_memory_gb}G"}
    volumes: list[dict[str, Any]] = [
        {"name": "shared-memory", "emptyDir": shared},
        {"name": "scratch", "emptyDir": {"sizeLimit": f"{given.scratch_gb}G"}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "shared-memory", "mountPath": "/dev/shm"},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    for number, volume in enumerate(given.volumes):
        claim = {"claimName": volume.claim, "readOnly": volume.read_only}
        name = f"claim-{number}"
        volumes.append({"name": name, "persistentVolumeClaim": claim})
        mounts.append({"name": name, "mountPath": volume.path, "readOnly": volume.read_only})
    return volumes, mounts


def _environment(launch: LaunchConfig) -> dict[str, dict[str, Any]]:
    """Variables beyond those of the app, by name."""
    given = launch.kubernetes
    plain = {
        # the root file system is read-only
        "HOME": "/tmp",
        "GEOVR_HOME": "/tmp/geovr",
        "GLOO_SOCKET_IFNAME": given.network_interface,
        "NCCL_SOCKET_IFNAME": given.network_interface,
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    }
    if given.rdma is not None:
        plain |= {"NCCL_IB_HCA": given.rdma.devices, "NCCL_NET_GDR_LEVEL": "SYS"}
    elif launch.gpus > 0:
        plain["NCCL_IB_DISABLE"] = "1"
    plain |= given.env
    # Kubernetes fills in $(...) in values; ours are meant as they stand
    literal = {k: {"name": k, "value": v.replace("$(", "$$(")} for k, v in sorted(plain.items())}
    return literal | {
        name: {"name": name, "valueFrom": {"secretKeyRef": key.model_dump()}}
        for name, key in sorted(given.secrets.items())
    }
