"""Who reaches whom, by the NetworkPolicies as a cluster reads them."""

from __future__ import annotations

from typing import Any

import pytest

from infra.policies.manifests import Manifest
from tests.policies.conftest import KUBERNETES, manifests

pytestmark = pytest.mark.fault(53)
STEP = {"pipelines.kubeflow.org/v2_component": "true"}
PODS = {
    "step": STEP,
    "notify": STEP | {"geovr/step": "notify"},
    "trainer": {"app.kubernetes.io/managed-by": "torchx.pytorch.org"},
    **{
        name: {"app.kubernetes.io/component": name}
        for name in ("trigger", "mlflow", "postgres", "s3")
    },
    "stranger": {"app": "stranger"},
}
"""Pod of the namespace -> its labels."""


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return all(labels.get(k) == v for k, v in (selector.get("matchLabels") or {}).items())


def opens(policy: Manifest, way: str, own: str, other: str, port: int) -> bool:
    """Whether a policy lets a pod of the namespace talk to, or hear from, another of it."""
    spec = policy.body["spec"]
    if not selects(spec["podSelector"], PODS[own]):
        return False
    for rule in spec.get(way) or []:
        ports = [p["port"] for p in rule.get("ports") or []]
        if ports and port not in ports:
            continue
        for peer in rule["to" if way == "egress" else "from"]:
            if set(peer) == {"podSelector"} and selects(peer["podSelector"], PODS[other]):
                return True
    return False


def reachable(overlay: str, port: int) -> set[tuple[str, str]]:
    """Pairs of pods that may talk on a port: both sides must be open."""
    policies = [m for m in manifests(KUBERNETES / "overlays" / overlay)
                if m.kind == "NetworkPolicy"]  # fmt: skip
    return {
        (one, other)
        for one in PODS
        for other in PODS
        if any(opens(p, "egress", one, other, port) for p in policies)
        and any(opens(p, "ingress", other, one, port) for p in policies)
    }


TRAINERS = {("trainer", "trainer")}


def test_in_dev_each_server_is_reached_by_its_clients_alone() -> None:
    steps = {"step", "notify"}
    assert reachable("dev", 5432) - TRAINERS == {("mlflow", "postgres")}
    assert reachable("dev", 5000) - TRAINERS == {(p, "mlflow") for p in steps | {"trainer"}}
    storage = {(p, "s3") for p in steps | {"trainer", "trigger", "mlflow"}}
    assert reachable("dev", 8333) - TRAINERS == storage
    assert reachable("dev", 22) == reachable("dev", 29500) == TRAINERS


def test_in_prod_too() -> None:
    assert reachable("prod", 5000) - TRAINERS == {
        (p, "mlflow") for p in ("step", "notify", "trainer")
    }
    assert reachable("prod", 5432) == reachable("prod", 8333) == TRAINERS


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_labels_that_policies_select_are_on_pods(overlay: str) -> None:
    from infra.policies.manifests import pod_templates

    made = manifests(KUBERNETES / "overlays" / overlay)
    found = {
        template["metadata"]["labels"].get("app.kubernetes.io/component")
        for m in made
        for _, template in pod_templates(m)
    }
    wanted = {
        m.body["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
        for m in made
        if m.kind == "NetworkPolicy"
    }
    assert wanted - {None} == found


def test_trainers_carry_the_label_that_their_policies_select() -> None:
    import yaml

    from tests.workspace import REPOSITORY

    job = yaml.safe_load((REPOSITORY / "tests/golden/train-job.yaml").read_text())
    for task in job["spec"]["tasks"]:
        assert PODS["trainer"].items() <= task["template"]["metadata"]["labels"].items()
