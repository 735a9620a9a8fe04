"""Shape: built-in kinds by Kubernetes' own schemas, the others by models, and nothing unknown."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from geovr.config import canonical_json
from geovr.errors import UserError
from infra.policies.kinds import KINDS
from infra.policies.manifests import Manifest, pod_templates
from infra.policies.rules import Found, rule

KUBERNETES = "1.32"
"""The version whose schemas count; that of the namespace's Pod Security labels too."""


@functools.lru_cache(maxsize=1024)  # the library reads megabytes of schemas for each manifest
def _judged(text: str) -> tuple[bool, str, str]:
    """Whether a manifest, as JSON, is of a built-in kind; where it doesn't fit its schema, and how.

    Of a fitting one, place and message are empty.
    """
    try:
        import kubernetes_validate
    except ImportError:
        raise UserError("kubernetes-validate isn't installed: run make setup") from None
    try:
        kubernetes_validate.validate(json.loads(text), KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return False, "", ""
    except kubernetes_validate.ValidationError as error:
        return True, ".".join(map(str, error.path)), str(error.message)
    return True, "", ""


def _judge(body: dict[str, Any]) -> tuple[bool, str, str]:
    return _judged(canonical_json(body))


@rule("schema", f"built-in kinds and pod templates fit the schemas of Kubernetes {KUBERNETES}")
def schema(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "pipeline":
            continue
        if (manifest.body.get("apiVersion"), manifest.kind) not in KINDS:
            _, where, message = _judge(manifest.body)
            if message:
                yield manifest, where, message
            continue
        for place, template in pod_templates(manifest):
            _, where, message = _judge({"apiVersion": "v1", "kind": "Pod", **template})
            if message:
                yield manifest, f"{place}.{where}", message


@rule("kind", "custom kinds fit the models of infra/policies/kinds.py; unknown ones are refused")
def kind(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "pipeline":
            continue
        version = str(manifest.body.get("apiVersion"))
        model = KINDS.get((version, manifest.kind))
        if model is None:
            built_in, _, _ = _judge(manifest.body)
            if not built_in:
                yield manifest, "kind", f"{version} {manifest.kind} is neither built in nor known"
            continue
        try:
            model.model_validate(manifest.body)
        except ValidationError as error:
            for fault in error.errors():
                yield manifest, ".".join(map(str, fault["loc"])), fault["msg"]
