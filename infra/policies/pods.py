"""Pods: the restricted Pod Security Standard in full, and what GeoVR asks of them beyond it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.policies.access import WITH_TOKEN
from infra.policies.manifests import (
    Manifest,
    containers,
    part,
    parts,
    pod_specs,
    pod_templates,
    texts,
)
from infra.policies.rules import Found, rule

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
_SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SERVERS = ("Deployment", "StatefulSet")


def _context(holder: dict[str, Any]) -> dict[str, Any]:
    return part(holder, "securityContext")


@rule("pod-host", "no namespace, path, port or process of the node")
def pod_host(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                yield manifest, f"{where}.{key}", "shares the node's"
        for holder in (_context(spec), *(_context(c) for _, c in containers(spec, where))):
            if part(holder, "windowsOptions").get("hostProcess"):
                yield manifest, where, "a process of the node (windowsOptions.hostProcess)"
        for place, container in containers(spec, where):
            for port in parts(container, "ports"):
                if port.get("hostPort"):
                    yield manifest, f"{place}.ports", f"port {port['hostPort']} of the node"


@rule("pod-volumes", "volumes of the restricted kinds alone")
def pod_volumes(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        for number, volume in enumerate(parts(spec, "volumes")):
            for kind in set(volume) - {"name"} - _VOLUMES:
                yield manifest, f"{where}.volumes.{number}", f"{volume.get('name')} is a {kind}"


@rule("pod-privileges", "no privilege, none gained, no capability, no loosened kernel")
def pod_privileges(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        for sysctl in parts(_context(spec), "sysctls"):
            if str(sysctl.get("name")) not in _SYSCTLS:
                unsafe = f"{sysctl.get('name')} is unsafe"
                yield manifest, f"{where}.securityContext.sysctls", unsafe
        yield from ((manifest, where, told) for told in _loosened(_context(spec)))
        for place, container in containers(spec, where):
            context, at = _context(container), f"{place}.securityContext"
            if context.get("privileged"):
                yield manifest, at, "privileged"
            if context.get("allowPrivilegeEscalation") is not False:
                yield manifest, at, "allowPrivilegeEscalation isn't false"
            if context.get("procMount") not in (None, "Default"):
                yield manifest, at, f"procMount {context['procMount']}"
            capabilities = part(context, "capabilities")
            if "ALL" not in texts(capabilities, "drop"):
                yield manifest, at, "doesn't drop ALL capabilities"
            if more := set(texts(capabilities, "add")) - {"NET_BIND_SERVICE"}:
                yield manifest, at, f"adds {', '.join(sorted(more))}"
            yield from ((manifest, at, told) for told in _loosened(context))


def _loosened(context: dict[str, Any]) -> Iterator[str]:
    """SELinux and AppArmor, of a pod or container."""
    selinux = part(context, "seLinuxOptions")
    if str(selinux.get("type") or "") not in _SELINUX or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions other than a container's"
    if part(context, "appArmorProfile").get("type") == "Unconfined":
        yield "appArmorProfile Unconfined"


@rule("pod-apparmor", "no annotation that takes AppArmor away")
def pod_apparmor(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        for where, template in pod_templates(manifest):
            notes = part(template, "metadata", "annotations")
            for key, value in notes.items():
                allowed = value == "runtime/default" or str(value).startswith("localhost/")
                if key.startswith(_APPARMOR) and not allowed:
                    yield manifest, f"{where}.metadata.annotations", f"{key}: {value}"


@rule("pod-non-root", "every container says that it doesn't run as root, and has no user 0")
def pod_non_root(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        pod = _context(spec)
        if pod.get("runAsUser") == 0:
            yield manifest, f"{where}.securityContext", "runs as user 0"
        for place, container in containers(spec, where):
            context = _context(container)
            if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
                yield manifest, f"{place}.securityContext", "runAsNonRoot isn't true"
            if context.get("runAsUser") == 0:
                yield manifest, f"{place}.securityContext", "runs as user 0"


@rule("pod-seccomp", "every container has a seccomp profile: the runtime's, or one of the node's")
def pod_seccomp(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        of_pod = part(_context(spec), "seccompProfile")
        for place, container in containers(spec, where):
            profile = part(_context(container), "seccompProfile") or of_pod
            if profile.get("type") not in ("RuntimeDefault", "Localhost"):
                yield (
                    manifest, f"{place}.securityContext.seccompProfile",
                    f"{profile.get('type', 'none')}",
                )  # fmt: skip


@rule("read-only-root", "the root file system of every container is read-only")
def read_only_root(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        for place, container in containers(spec, where):
            if _context(container).get("readOnlyRootFilesystem") is not True:
                yield manifest, f"{place}.securityContext", "readOnlyRootFilesystem isn't true"


@rule("limits", "every container has a limit of memory and asks for CPU; emptyDirs have a size")
def limits(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(manifests):
        for place, container in containers(spec, where):
            resources = part(container, "resources")
            if "memory" not in part(resources, "limits"):
                yield manifest, f"{place}.resources.limits", "no limit of memory"
            for name in ("cpu", "memory"):
                if name not in part(resources, "requests"):
                    yield manifest, f"{place}.resources.requests", f"asks for no {name}"
        for number, volume in enumerate(parts(spec, "volumes")):
            if "emptyDir" in volume and "sizeLimit" not in part(volume, "emptyDir"):
                yield (
                    manifest,
                    f"{where}.volumes.{number}",
                    f"{volume.get('name')} has no sizeLimit",
                )


@rule("token", f"no token of Kubernetes' API but for {', '.join(sorted(WITH_TOKEN))}")
def token(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        mounted = manifest.body.get("automountServiceAccountToken") is not False
        if manifest.kind == "ServiceAccount" and mounted and manifest.name not in WITH_TOKEN:
            yield manifest, "automountServiceAccountToken", "isn't false"
    for manifest, where, spec in pod_specs(manifests):
        account = str(spec.get("serviceAccountName", "default"))
        if account not in WITH_TOKEN and spec.get("automountServiceAccountToken") is not False:
            yield manifest, f"{where}.automountServiceAccountToken", f"isn't false for {account}"


@rule("probes", "every server says when it is ready and when it is dead")
def probes(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, spec in pod_specs(m for m in manifests if m.kind in _SERVERS):
        for number, container in enumerate(parts(spec, "containers")):
            for name in ("readinessProbe", "livenessProbe"):
                if not container.get(name):
                    yield manifest, f"{where}.containers.{number}", f"no {name}"
