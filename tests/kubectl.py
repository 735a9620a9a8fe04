"""kubectl for tests: this machine's, or out of its package."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from geovr.errors import UserError
from infra.kubernetes import kubectl
from tests.workspace import REPOSITORY


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
