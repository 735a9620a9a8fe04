"""Manifests: read from files or rendered by kustomize, and the pod templates within them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        # libyaml where it was built in: recipes and pipelines are long
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        bodies = [body for body in yaml.load_all(text, Loader=loader) if body is not None]
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not YAML: {error}") from None
    made: list[Manifest] = []
    for body in bodies:
        if not isinstance(body, dict):
            raise UserError(f"{source}: holds {type(body).__name__}, where manifests are expected")
        if set(body) == {"platforms"} and made and made[-1].kind == "pipeline":
            made[-1] = Manifest(made[-1].body, source, body)
        elif body.get("kind") == "List":
            made += [Manifest(item, source) for item in parts(body, "items")]
        elif "pipelineInfo" in body or {"apiVersion", "kind"} <= set(body):
            made.append(Manifest(body, source))
        else:
            raise UserError(f"{source}: a document without apiVersion and kind is no manifest")
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
    """Where a manifest's pod templates are, and the templates; what is no template is left out.

    That something is missing is told by the rules about schemas.
    """
    found: dict[str, dict[str, Any]] = {}
    if manifest.group == "batch.volcano.sh":
        for number, task in enumerate(parts(part(manifest.body, "spec"), "tasks")):
            found[f"spec.tasks.{number}.template"] = part(task, "template")
    elif manifest.kind in _TEMPLATES:
        place = _TEMPLATES[manifest.kind]
        found[".".join(place)] = part(manifest.body, *place)
    yield from ((where, template) for where, template in found.items() if template)


def part(body: Any, *keys: str) -> dict[str, Any]:
    """The mapping at some keys of another; an empty one where there is none."""
    for key in keys:
        body = body.get(key) if isinstance(body, dict) else None
    return body if isinstance(body, dict) else {}


def parts(body: Any, key: str) -> list[dict[str, Any]]:
    """The mappings of a list at a key; none where there is no list."""
    found = body.get(key) if isinstance(body, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def texts(body: Any, key: str) -> list[str]:
    """The texts of a list at a key; none where there is no list."""
    found = body.get(key) if isinstance(body, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def pod_specs(manifests: Iterable[Manifest]) -> Iterator[tuple[Manifest, str, dict[str, Any]]]:
    """Manifest, place and spec of every pod."""
    for manifest in manifests:
        for where, template in pod_templates(manifest):
            yield manifest, f"{where}.spec".lstrip("."), part(template, "spec")


def containers(spec: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and body of every container of a pod."""
    for kind in CONTAINERS:
        for number, container in enumerate(parts(spec, kind)):
            yield f"{where}.{kind}.{number}", container
