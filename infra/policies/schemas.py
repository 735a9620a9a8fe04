"""Shape: built-in kinds by Kubernetes' own schemas, the others by models, and nothing unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from geovr.errors import UserError
from infra.policies.kinds import KINDS
from infra.policies.manifests import Manifest, pod_templates
from infra.policies.rules import Found, rule

KUBERNETES = "1.32"
"""The version whose schemas count; that of the namespace's Pod Security labels too."""


def _faults(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a built-in kind doesn't fit its schema, and how."""
    try:
        import kubernetes_validate
    except ImportError:
        raise UserError("kubernetes-validate isn't installed: run make setup") from None
    try:
        kubernetes_validate.validate(body, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield ".".join(map(str, error.path)), str(error.message)


def _builtin(manifest: Manifest) -> bool:
    import kubernetes_validate

    body = {"apiVersion": manifest.body.get("apiVersion"), "kind": manifest.kind}
    try:
        kubernetes_validate.validate(body, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError:
        return True
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError):
        return False
    return True


@rule("schema", f"built-in kinds and pod templates fit the schemas of Kubernetes {KUBERNETES}")
def schema(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "pipeline":
            continue
        if (manifest.body.get("apiVersion"), manifest.kind) not in KINDS:
            if _builtin(manifest):
                for where, message in _faults(manifest.body):
                    yield manifest, where, message
            continue
        for place, template in pod_templates(manifest):
            for where, message in _faults({"apiVersion": "v1", "kind": "Pod", **template}):
                yield manifest, f"{place}.{where}", message


@rule("kind", "custom kinds fit the models of infra/policies/kinds.py; unknown ones are refused")
def kind(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "pipeline":
            continue
        version = str(manifest.body.get("apiVersion"))
        model = KINDS.get((version, manifest.kind))
        if model is None:
            if not _builtin(manifest):
                yield manifest, "kind", f"{version} {manifest.kind} is neither built in nor known"
            continue
        try:
            model.model_validate(manifest.body)
        except ValidationError as error:
            for fault in error.errors():
                yield manifest, ".".join(map(str, fault["loc"])), fault["msg"]
