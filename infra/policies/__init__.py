"""Rules for everything that a cluster gets, as code: `python -m infra.policies check | rules`.

kubernetes-validate holds built-in kinds to Kubernetes' own schemas, `kinds` the others to strict
models, and the rest of the modules what GeoVR promises beyond that. Each rule is one function.
"""

from infra.policies import access, images, kinds, network, pipelines, pods, schemas, secrets, spaces
from infra.policies.rules import RULES, Finding, check

__all__ = [
    "RULES", "Finding", "access", "check", "images", "kinds", "network", "pipelines", "pods",
    "schemas", "secrets", "spaces",
]  # fmt: skip
