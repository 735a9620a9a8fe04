"""Every rule holds for what is shipped, and finds a copy that was broken on purpose."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.policies import RULES, Finding, check
from infra.policies.manifests import Manifest, read_file
from tests.policies.cluster_pipeline import pipeline
from tests.policies.conftest import DIGEST, KUBERNETES, manifests
from tests.workspace import REPOSITORY

pytestmark = pytest.mark.fault(53)
ZEROS = "sha256:" + "0" * 64


def everything() -> list[Manifest]:
    """A cluster's manifests, a training job and a compiled pipeline, fresh."""
    made = manifests(KUBERNETES / "overlays/prod") + pipeline()
    job = (REPOSITORY / "tests/golden/train-job.yaml").read_text().replace(ZEROS, DIGEST)
    return [*made, Manifest(yaml.safe_load(job), "train-job.yaml")]


class Copy:
    """Manifests to break."""

    def __init__(self, whole: list[Manifest]) -> None:
        self.manifests = whole

    def __call__(self, kind: str, name: str = "geovr") -> dict[str, Any]:
        """The body of one; by the beginning of its name, since kustomize appends hashes."""
        return next(m.body for m in self.manifests if m.kind == kind and m.name.startswith(name))

    def pod(self) -> dict[str, Any]:
        """Of MLflow's server."""
        found: dict[str, Any] = self("Deployment", "geovr-mlflow")["spec"]["template"]["spec"]
        return found

    def container(self) -> dict[str, Any]:
        """Of MLflow's server."""
        found: dict[str, Any] = self.pod()["containers"][0]
        return found

    def trainer(self) -> dict[str, Any]:
        """The pod of a training job's first node."""
        job = next(m.body for m in self.manifests if m.group == "batch.volcano.sh")
        found: dict[str, Any] = job["spec"]["tasks"][0]["template"]["spec"]
        return found

    def compiled(self) -> Manifest:
        """The pipeline."""
        return next(m for m in self.manifests if m.kind == "pipeline")

    def task(self, name: str) -> dict[str, Any]:
        """Of the pipeline, within its exit handler."""
        dag = self.compiled().body["components"]["comp-exit-handler-1"]["dag"]
        found: dict[str, Any] = dag["tasks"][name]
        return found

    def executor(self, name: str) -> dict[str, Any]:
        """Of the pipeline."""
        deployment = self.compiled().body["deploymentSpec"]
        found: dict[str, Any] = deployment["executors"][f"exec-{name}"]["container"]
        return found

    def add(self, text: str) -> None:
        """One more manifest."""
        self.manifests.append(Manifest(yaml.safe_load(text), "added"))

    def remove(self, kind: str, name: str = "") -> None:
        """One manifest less."""
        self.manifests.remove(
            next(m for m in self.manifests if m.kind == kind and m.name.startswith(name))
        )


def _context(container: dict[str, Any], **values: Any) -> None:
    container["securityContext"] = {**container.get("securityContext", {}), **values}


def _variable(container: dict[str, Any], name: str, value: str) -> None:
    container.setdefault("env", []).append({"name": name, "value": value})


def _peer(c: Copy, name: str, **peer: Any) -> None:
    c("NetworkPolicy", name)["spec"]["egress"][0]["to"].append(peer)


ROLE = "apiVersion: rbac.authorization.k8s.io/v1\n"
BROKEN: dict[str, list[Callable[[Copy], Any]]] = {
    "schema": [
        lambda c: c.container().update(volumeMount=[]),
        lambda c: c.pod().update(restartPolicy=3),
        lambda c: c.trainer().update(nodeSelektor={}),
        lambda c: c("CronJob")["spec"].update(schedules="* * * * *"),
    ],
    "kind": [
        lambda c: c("Queue")["spec"].update(weight="1"),
        lambda c: c("Queue")["metadata"].update(namespace="geovr"),
        lambda c: c("ExternalSecret")["spec"]["secretStoreRef"].update(kind="ClusterSecretStore"),
        lambda c: c("Job", "geovr-train")["spec"].update(minAvailable=1),
        lambda c: c.add("{apiVersion: example.com/v1, kind: Thing, metadata: {name: x}}"),
    ],
    "pod-host": [
        lambda c: c.pod().update(hostNetwork=True),
        lambda c: c.pod().update(hostPID=True),
        lambda c: c.trainer().update(hostIPC=True),
        lambda c: c.container()["ports"][0].update(hostPort=5000),
        lambda c: _context(c.pod(), windowsOptions={"hostProcess": True}),
    ],
    "pod-volumes": [
        lambda c: c.pod()["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        lambda c: c.trainer()["volumes"].append(
            {"name": "x", "nfs": {"server": "a", "path": "/"}}
        ),
    ],
    "pod-privileges": [
        lambda c: _context(c.container(), privileged=True),
        lambda c: c.container()["securityContext"].pop("allowPrivilegeEscalation"),
        lambda c: c.container()["securityContext"].pop("capabilities"),
        lambda c: c.container()["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
        lambda c: _context(c.container(), procMount="Unmasked"),
        lambda c: _context(c.container(), seLinuxOptions={"type": "spc_t"}),
        lambda c: _context(c.pod(), appArmorProfile={"type": "Unconfined"}),
        lambda c: _context(c.pod(), sysctls=[{"name": "kernel.msgmax", "value": "65536"}]),
        lambda c: c.trainer()["containers"][0]["securityContext"].update(capabilities={}),
    ],
    "pod-apparmor": [
        lambda c: c("Deployment")["spec"]["template"]["metadata"].update(
            annotations={"container.apparmor.security.beta.kubernetes.io/mlflow": "unconfined"}
        ),
    ],
    "pod-non-root": [
        lambda c: c.pod()["securityContext"].pop("runAsNonRoot"),
        lambda c: c.pod()["securityContext"].update(runAsUser=0),
        lambda c: _context(c.container(), runAsNonRoot=False),
        lambda c: _context(c.trainer()["containers"][0], runAsUser=0),
    ],
    "pod-seccomp": [
        lambda c: c.pod()["securityContext"].pop("seccompProfile"),
        lambda c: _context(c.container(), seccompProfile={"type": "Unconfined"}),
    ],
    "read-only-root": [
        lambda c: c.container()["securityContext"].pop("readOnlyRootFilesystem"),
        lambda c: c.pod().update(
            initContainers=[
                copy.deepcopy(c.container())
                | {"name": "init", "readinessProbe": None, "livenessProbe": None,
                   "startupProbe": None,
                   "securityContext": c.container()["securityContext"]
                   | {"readOnlyRootFilesystem": False}}
            ]
        ),
    ],
    "limits": [
        lambda c: c.container()["resources"]["limits"].pop("memory"),
        lambda c: c.container()["resources"]["requests"].pop("cpu"),
        lambda c: c.trainer()["containers"][0].update(resources={}),
        lambda c: c.pod()["volumes"].append({"name": "x", "emptyDir": {}}),
    ],
    "token": [
        lambda c: c.pod().pop("automountServiceAccountToken"),
        lambda c: c.trainer().update(automountServiceAccountToken=True),
        lambda c: c("ServiceAccount", "default").pop("automountServiceAccountToken"),
        lambda c: c("ServiceAccount", "geovr-trainer").update(automountServiceAccountToken=True),
    ],
    "probes": [
        lambda c: c.container().pop("readinessProbe"),
        lambda c: c.container().pop("livenessProbe"),
    ],
    "image-digest": [
        lambda c: c.container().update(image="geovr/cpu:latest"),
        lambda c: c.container().pop("image"),
        lambda c: c.trainer()["containers"][0].update(image="geovr/gpu:1.0"),
        lambda c: c.executor("register").update(image="geovr/cpu:stable"),
    ],
    "image-placeholder": [
        lambda c: c.container().update(image=f"geovr/cpu@{ZEROS}"),
        lambda c: c.executor("ingest").update(image=f"geovr/cpu@{ZEROS}"),
        lambda c: c("ConfigMap", "geovr-params")["data"].update(x=f"geovr/cpu@{ZEROS}"),
    ],
    "secret-literal": [
        lambda c: _variable(c.container(), "DB_PASSWORD", "swordfish"),
        lambda c: _variable(c.trainer()["containers"][0], "NOTE", "AKIA" + "ABCDEFGHIJKLMNOP"),
        lambda c: c.container()["args"].append("--admin-password=swordfish"),
        lambda c: c("ConfigMap", "geovr-endpoints")["data"].update(API_KEY="swordfish"),
        lambda c: c("Deployment")["metadata"].update(annotations={"x/token": "swordfish"}),
        lambda c: _variable(c.executor("ingest"), "AWS_SECRET_ACCESS_KEY", "swordfish"),
        lambda c: c.executor("ingest").update(args=["postgresql://me:swordfish@db/x"]),
        lambda c: c("ExternalSecret", "geovr-mlflow-server")["spec"]["target"]["template"][
            "data"
        ].update({"admin-password": "swordfish"}),
    ],
    "secret-object": [
        lambda c: c.add(
            "{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: geovr},"
            " stringData: {a: b}}"
        ),
    ],
    "access-wildcard": [
        lambda c: c("Role")["rules"][0].update(verbs=["*"]),
        lambda c: c("Role")["rules"][0].update(resources=["*"]),
        lambda c: c("Role")["rules"][2]["verbs"].append("impersonate"),
        lambda c: c.add(
            ROLE + "kind: Role\nmetadata: {name: x, namespace: geovr}\n"
            "rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]"
        ),
    ],
    "access-cluster": [
        lambda c: c.add(ROLE + "kind: ClusterRole\nmetadata: {name: x}\nrules: []"),
        lambda c: c.add(
            ROLE + "kind: ClusterRoleBinding\nmetadata: {name: x}\n"
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}"
        ),
        lambda c: c("RoleBinding")["roleRef"].update(kind="ClusterRole"),
    ],
    "access-reach": [
        lambda c: c("Role")["rules"][0]["verbs"].append("patch"),
        lambda c: c("Role")["rules"][2]["resources"].append("pods/exec"),
        lambda c: c("Role")["rules"][-1].pop("resourceNames"),
        lambda c: c("Role")["rules"][-1]["resourceNames"].append("geovr-mlflow-server"),
        lambda c: c("RoleBinding")["subjects"][0].update(name="geovr-trainer"),
        lambda c: c("RoleBinding")["subjects"][0].update(namespace="default"),
        lambda c: c("RoleBinding")["roleRef"].update(name="other"),
        lambda c: c("RoleBinding")["subjects"].append(
            {"kind": "Group", "name": "all", "apiGroup": "rbac.authorization.k8s.io"}
        ),
    ],
    "network-deny": [
        lambda c: c.remove("NetworkPolicy", "default-deny"),
        lambda c: c.add(
            "{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {"
            + ", ".join(
                f"pod-security.kubernetes.io/{mode}: restricted,"
                f" pod-security.kubernetes.io/{mode}-version: v1.32"
                for mode in ("enforce", "audit", "warn")
            )
            + "}}}\n"
        )
        or c.add(
            "{apiVersion: v1, kind: LimitRange, metadata: {name: x, namespace: x},"
            " spec: {limits: []}}"
        )
        or c.manifests.append(
            Manifest(
                copy.deepcopy(c("ResourceQuota"))
                | {"metadata": {"name": "x", "namespace": "x"}}
            )
        ),
    ],
    "network-named": [
        lambda c: c("NetworkPolicy", "all-to-dns")["metadata"].update(name="other"),
    ],
    "network-peers": [
        lambda c: c("NetworkPolicy", "mlflow-from-clients")["spec"]["ingress"][0].pop("from"),
        lambda c: _peer(c, "all-to-dns", namespaceSelector={}),
        lambda c: c("NetworkPolicy", "pipeline-to-kfp")["spec"]["egress"][0].pop("ports"),
    ],
    "network-metadata": [
        lambda c: _peer(c, "mlflow-to-s3", ipBlock={"cidr": "0.0.0.0/0"}),
        lambda c: _peer(c, "all-to-dns", ipBlock={"cidr": "169.254.0.0/16"}),
        lambda c: _peer(c, "mlflow-to-s3", ipBlock={"cidr": "::/0"}),
    ],
    "service-inside": [lambda c: c("Service")["spec"].update(type="LoadBalancer")],
    "ingress-tls": [
        lambda c: c("Ingress")["spec"].pop("tls"),
        lambda c: c("Ingress")["spec"]["tls"][0].update(hosts=["other.example.org"]),
    ],
    "namespace-security": [
        lambda c: c("Namespace")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
        lambda c: c("Namespace")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce-version": "latest"}
        ),
    ],
    "namespace-quota": [
        lambda c: c.remove("ResourceQuota"),
        lambda c: c.remove("LimitRange"),
        lambda c: c("ResourceQuota")["spec"]["hard"].pop("limits.memory"),
    ],
    "pipeline-limits": [lambda c: c.executor("register").pop("resources")],
    "pipeline-non-root": [
        lambda c: (c.compiled().platform or {})["platforms"]["kubernetes"]["deploymentSpec"][
            "executors"
        ].pop("exec-register"),
        lambda c: (c.compiled().platform or {})["platforms"]["kubernetes"]["deploymentSpec"][
            "executors"
        ]["exec-ingest"]["securityContext"].update(runAsUser="0"),
    ],
    "pipeline-cache": [
        lambda c: c.task("register").update(cachingOptions={"enableCache": True}),
        lambda c: c.compiled().body["root"]["dag"]["tasks"]["notify"].update(
            cachingOptions={"enableCache": True}
        ),
    ],
    "pipeline-data": [
        lambda c: c.task("ingest").update(cachingOptions={"enableCache": True}),
    ],
    "pipeline-retry": [
        lambda c: c.task("check-clips").update(retryPolicy={"maxRetryCount": 1}),
    ],
    "pipeline-loop": [
        lambda c: c.task("ingest").update(parameterIterator={"itemInput": "x"}),
    ],
}  # fmt: skip
"""Rule -> ways to break it, each alone."""


def told(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))


def test_what_is_shipped_keeps_every_rule() -> None:
    findings = check(everything())
    assert not findings, told(findings)


def test_every_rule_has_a_broken_copy() -> None:
    assert set(BROKEN) == set(RULES)


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, n) for rule, ways in BROKEN.items() for n in range(len(ways))]
)
def test_a_broken_copy_is_found_by_its_rule_alone(rule: str, number: int) -> None:
    broken = Copy(everything())
    BROKEN[rule][number](broken)
    findings = check(broken.manifests)
    assert {one.rule for one in findings} == {rule}, told(findings)
    assert not check(broken.manifests, without=[rule])


def test_pipelines_within_resources_are_held_to_the_same_rules() -> None:
    made = pipeline(as_resources=True)
    assert not check(made)
    version = next(m for m in made if m.kind == "PipelineVersion").body["spec"]
    version["pipelineSpec"]["deploymentSpec"]["executors"]["exec-ingest"]["container"]["image"] = (
        "geovr/cpu:latest"
    )
    del version["platformSpec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"][
        "exec-notify"
    ]
    version["pipelineSpecs"] = {}
    assert {one.rule for one in check(made)} == {"image-digest", "pipeline-non-root", "kind"}


GOLDEN = sorted((REPOSITORY / "tests/golden").glob("pipeline*.yaml"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_pipelines_keep_every_rule(path: Path) -> None:
    """Those have no digests of their own, and the cluster's form is held to more of the rules."""
    made = read_file(path)
    findings = check(made, without=["image-placeholder"])
    assert made[0].kind == "pipeline" and not findings, told(findings)
