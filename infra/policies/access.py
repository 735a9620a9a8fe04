"""Access: what each account may do, and nothing beyond it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.policies.manifests import Manifest, part, parts, texts
from infra.policies.rules import Found, rule

WITH_TOKEN = {"geovr-pipeline"}
"""Accounts whose pods get a token of Kubernetes' API."""


@dataclass(frozen=True)
class Reach:
    """What may be done with one kind of resource; `names`: with these alone."""

    verbs: frozenset[str]
    names: frozenset[str] = frozenset()


def _reach(verbs: str, names: str = "") -> Reach:
    return Reach(frozenset(verbs.split()), frozenset(names.split()))


REACH: dict[str, dict[tuple[str, str], Reach]] = {
    "geovr-pipeline": {
        # geovr launch
        ("batch.volcano.sh", "jobs"): _reach("create get delete"),
        ("batch.volcano.sh", "jobs/status"): _reach("get update"),
        ("", "pods"): _reach("get"),
        ("", "pods/log"): _reach("get"),
        # Argo's executor
        ("argoproj.io", "workflowtaskresults"): _reach("create patch"),
        # KFP's driver and launcher
        ("", "configmaps"): _reach("get", "kfp-launcher"),
        ("", "secrets"): _reach("get", "geovr-s3"),
    },
}
"""Account -> API group and resource -> what it may do."""
_RISKY = {"*", "escalate", "bind", "impersonate"}


@rule("access-wildcard", "no wildcard, and no right to get more rights or to list secrets")
def access_wildcard(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind not in ("Role", "ClusterRole"):
            continue
        for number, one in enumerate(parts(manifest.body, "rules")):
            verbs, resources = set(texts(one, "verbs")), set(texts(one, "resources"))
            risky = _RISKY & (verbs | resources | set(texts(one, "apiGroups")))
            if "secrets" in resources:
                risky |= verbs & {"list", "watch"}
            if one.get("nonResourceURLs"):
                risky.add("nonResourceURLs")
            if risky:
                yield manifest, f"rules.{number}", ", ".join(sorted(risky))


@rule("access-cluster", "nothing is granted for the whole cluster")
def access_cluster(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind in ("ClusterRole", "ClusterRoleBinding"):
            yield manifest, "kind", "reaches beyond the namespace"
        elif manifest.kind == "RoleBinding" and _bound(manifest).get("kind") != "Role":
            yield manifest, "roleRef", f"binds {_bound(manifest).get('kind')}"


def _bound(binding: Manifest) -> dict[str, Any]:
    return part(binding.body, "roleRef")


@rule("access-reach", "each account may do what infra/policies/access.py lists, and no more")
def access_reach(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    roles = {(m.namespace, m.name): m for m in manifests if m.kind == "Role"}
    for manifest in manifests:
        if manifest.kind != "RoleBinding" or _bound(manifest).get("kind") != "Role":
            continue
        role = roles.get((manifest.namespace, str(_bound(manifest).get("name"))))
        if role is None:
            yield manifest, "roleRef", f"no Role {_bound(manifest).get('name')} beside it"
            continue
        for number, subject in enumerate(parts(manifest.body, "subjects")):
            if subject.get("kind") != "ServiceAccount":
                who = f"{subject.get('kind')} {subject.get('name')}"
                yield manifest, f"subjects.{number}", who
            elif subject.get("namespace", manifest.namespace) != manifest.namespace:
                yield manifest, f"subjects.{number}", "an account of another namespace"
            else:
                yield from _beyond(role, str(subject.get("name")))


def _beyond(role: Manifest, account: str) -> Iterator[Found]:
    """Where a role gives an account more than it may have."""
    may = REACH.get(account, {})
    for number, one in enumerate(parts(role.body, "rules")):
        names = frozenset(texts(one, "resourceNames"))
        for group in set(texts(one, "apiGroups")) - _RISKY:
            for resource in set(texts(one, "resources")) - _RISKY:
                reach = may.get((group, resource), Reach(frozenset()))
                more = set(texts(one, "verbs")) - _RISKY - reach.verbs
                if more:
                    what = f"{', '.join(sorted(more))} {resource} of {group or 'v1'}"
                    yield role, f"rules.{number}", f"{account} may not {what}"
                elif reach.names and not (names and names <= reach.names):
                    yield (
                        role, f"rules.{number}.resourceNames",
                        f"{resource} other than {', '.join(sorted(reach.names))}",
                    )  # fmt: skip
