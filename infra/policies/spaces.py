"""Namespaces: restricted, and no larger than their quota."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from infra.policies.manifests import Manifest, part
from infra.policies.rules import Found, rule

_SECURITY = "pod-security.kubernetes.io"
_MUST_LIMIT = {
    "requests.cpu",
    "requests.memory",
    "limits.memory",
    "requests.nvidia.com/gpu",
    "pods",
}


@rule("namespace-security", "namespaces enforce the restricted standard, of a named version")
def namespace_security(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind != "Namespace":
            continue
        labels = part(manifest.metadata, "labels")
        for mode in ("enforce", "audit", "warn"):
            if labels.get(f"{_SECURITY}/{mode}") != "restricted":
                yield manifest, "metadata.labels", f"{_SECURITY}/{mode} isn't restricted"
            if not re.fullmatch(r"v1\.\d+", str(labels.get(f"{_SECURITY}/{mode}-version", ""))):
                yield manifest, "metadata.labels", f"{_SECURITY}/{mode}-version names no version"


@rule("namespace-quota", "namespaces have a quota, and defaults for pods that ask for nothing")
def namespace_quota(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind != "Namespace":
            continue
        within = [m for m in manifests if m.namespace == manifest.name]
        limited = {
            name
            for m in within
            if m.kind == "ResourceQuota"
            for name in part(m.body, "spec", "hard")
        }
        if missing := _MUST_LIMIT - limited:
            yield manifest, "", f"no quota of {', '.join(sorted(missing))}"
        if not any(m.kind == "LimitRange" for m in within):
            yield manifest, "", "no LimitRange"
