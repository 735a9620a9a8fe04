"""Manifests: read from files or rendered by kustomize, and the pod templates within them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geovr.errors import UserError

_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
"""Kind -> where its pod template is; Volcano's Job has one a task."""
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Manifest:
    """One document that a cluster gets.

    Attributes:
        body: what it says.
        source: file that it came from, for people.
        platform: of a compiled pipeline, the document that follows it: how its steps run on
            Kubernetes. None for the form that runs anywhere.
    """

    body: dict[str, Any]
    source: str = ""
    platform: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Of the resource; `pipeline` for what KFP's compiler wrote."""
        return "pipeline" if "pipelineInfo" in self.body else str(self.body.get("kind", ""))

    @property
    def group(self) -> str:
        """Of the API; empty for the core."""
        version = str(self.body.get("apiVersion", ""))
        return version.rpartition("/")[0]

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, namespace, labels, annotations."""
        found = self.body.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """Of the resource."""
        if self.kind == "pipeline":
            return str(self.body["pipelineInfo"].get("name", ""))
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        """Empty for what belongs to the cluster."""
        return str(self.metadata.get("namespace", ""))

    @property
    def told(self) -> str:
        """What it is, for people."""
        return f"{self.kind} {'/'.join(filter(None, (self.namespace, self.name)))}"


def read(text: str, source: str) -> list[Manifest]:
    """The manifests of a text, a document each.

    Raises:
        UserError: for what is no list of manifests.
    """
    import yaml

    try:
        bodies = [body for body in yaml.safe_load_all(text) if body is not None]
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not YAML: {error}") from None
    made: list[Manifest] = []
    for body in bodies:
        if not isinstance(body, dict):
            raise UserError(f"{source}: holds {type(body).__name__}, where manifests are expected")
        if set(body) == {"platforms"} and made and made[-1].kind == "pipeline":
            made[-1] = Manifest(made[-1].body, source, body)
        elif body.get("kind") == "List":
            made += [Manifest(item, source) for item in body.get("items", [])]
        else:
            made.append(Manifest(body, source))
    if not made:
        raise UserError(f"{source}: no manifest in it")
    return made


def read_file(path: Path) -> list[Manifest]:
    """The manifests of a file.

    Raises:
        UserError: when it can't be read.
    """
    try:
        return read(path.read_text(), str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give rendered manifests") from None


def pod_templates(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where a manifest's pod templates are, and the templates."""
    if manifest.group == "batch.volcano.sh":
        for number, task in enumerate(manifest.body["spec"]["tasks"]):
            yield f"spec.tasks.{number}.template", task["template"]
    elif manifest.kind in _TEMPLATES:
        place = _TEMPLATES[manifest.kind]
        template: dict[str, Any] = manifest.body
        for key in place:
            template = template[key]
        yield ".".join(place), template


def pod_specs(manifests: Any) -> Iterator[tuple[Manifest, str, dict[str, Any]]]:
    """Manifest, place and spec of every pod."""
    for manifest in manifests:
        for where, template in pod_templates(manifest):
            yield manifest, f"{where}.spec".lstrip("."), template["spec"]


def containers(spec: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and body of every container of a pod."""
    for kind in CONTAINERS:
        for number, container in enumerate(spec.get(kind) or []):
            yield f"{where}.{kind}.{number}", container
