"""Network: closed, but for exceptions with names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from infra.policies.manifests import Manifest, part, parts, texts
from infra.policies.rules import Found, rule

EXCEPTIONS = {
    "all-to-dns": "every pod asks the cluster's DNS",
    "pipeline-to-kubernetes": "KFP's launcher, Argo's executor and geovr launch",
    "pipeline-to-kfp": "KFP's API, metadata and artifact store",
    "pipeline-to-mlflow": "steps keep runs and register models",
    "pipeline-to-s3": "steps read and write the store",
    "trainer-to-mlflow": "rank 0 keeps metrics",
    "trainer-to-s3": "trainers read and write the store",
    "trainer-to-trainer": "rendezvous, gloo and NCCL",
    "trigger-to-kfp": "the trigger submits runs",
    "trigger-to-s3": "the trigger looks for new data",
    "notify-to-webhook": "the exit handler's webhook",
    "mlflow-from-clients": "steps and trainers",
    "mlflow-from-ingress": "people, through the ingress controller",
    "mlflow-to-postgres": "runs and accounts",
    "mlflow-to-s3": "artifacts",
    "postgres-from-mlflow": "runs and accounts",
    "s3-from-clients": "steps, trainers, the trigger and MLflow",
}
"""Name -> what for. A policy of another name is a finding."""
_METADATA = [ipaddress.ip_address(a) for a in ("169.254.169.254", "fd00:ec2::254")]
"""Where clouds hand a node's credentials to whoever asks."""


def _policies(manifests: Sequence[Manifest]) -> list[Manifest]:
    return [m for m in manifests if m.kind == "NetworkPolicy"]


def _denies_all(policy: Manifest) -> bool:
    spec = part(policy.body, "spec")
    return (
        spec.get("podSelector") == {}
        and {"Ingress", "Egress"} <= set(texts(spec, "policyTypes"))
        and not spec.get("ingress")
        and not spec.get("egress")
    )


def _peers(policy: Manifest) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """Place, peers and body of each rule of a policy."""
    for way, key in (("ingress", "from"), ("egress", "to")):
        for number, one in enumerate(parts(part(policy.body, "spec"), way)):
            yield f"spec.{way}.{number}", parts(one, key), one


@rule("network-deny", "every namespace denies what no exception allows, in and out")
def network_deny(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    closed = {p.namespace for p in _policies(manifests) if _denies_all(p)}
    for manifest in manifests:
        if manifest.kind == "Namespace" and manifest.name not in closed:
            yield manifest, "", "no NetworkPolicy denies everything in it"


@rule("network-named", "each exception is on the list of infra/policies/network.py")
def network_named(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for policy in _policies(manifests):
        if not _denies_all(policy) and policy.name not in EXCEPTIONS:
            yield policy, "metadata.name", "not on the list of exceptions"


@rule("network-peers", "each exception says with whom, and on which ports with whom is outside")
def network_peers(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for policy in _policies(manifests):
        for where, peers, one in _peers(policy):
            if not peers:
                yield policy, where, "with everybody"
            for peer in peers:
                if peer.get("namespaceSelector") == {}:
                    yield policy, where, "with every namespace"
                outside = "ipBlock" in peer or "namespaceSelector" in peer
                if outside and not one.get("ports"):
                    yield policy, where, "on every port"


@rule("network-metadata", "no pod reaches the cloud's metadata, which has the node's credentials")
def network_metadata(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for policy in _policies(manifests):
        for where, peers, _ in _peers(policy):
            for peer in peers:
                block = part(peer, "ipBlock")
                excepted = [_network(cidr) for cidr in texts(block, "except")]
                for address in _METADATA if block else []:
                    within = address in _network(block.get("cidr"))
                    if within and not any(address in network for network in excepted):
                        yield policy, where, f"{block.get('cidr')} reaches {address}"


def _network(cidr: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """What a CIDR names; nowhere if it is none, which the API server refuses."""
    try:
        return ipaddress.ip_network(str(cidr), strict=False)
    except ValueError:
        return ipaddress.ip_network("255.255.255.255/32")


@rule("service-inside", "services are of the cluster alone; people come by the ingress")
def service_inside(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "Service":
            spec = part(manifest.body, "spec")
            kind = spec.get("type", "ClusterIP")
            if kind != "ClusterIP" or spec.get("externalIPs"):
                yield manifest, "spec.type", f"{kind}, reached from outside"


@rule("ingress-tls", "every host of an ingress has a certificate")
def ingress_tls(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "Ingress":
            spec = part(manifest.body, "spec")
            covered = {host for tls in parts(spec, "tls") for host in texts(tls, "hosts")}
            for one in parts(spec, "rules"):
                if str(one.get("host")) not in covered:
                    yield manifest, "spec.tls", f"{one.get('host', 'any host')} without TLS"
