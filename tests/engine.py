"""A Docker engine for tests, and the images that they run: what answers, or Debian's dockerd."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geovr.errors import UserError
from infra.docker import engine as engines
from infra.docker import registry as registries
from infra.docker.base import make_base
from infra.docker.build import build
from infra.docker.engine import Engine
from infra.docker.registry import Registry
from infra.local.processes import find

TOOK = pytest.StashKey[dict[str, float]]()
PROGRAMS = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "debootstrap": "debootstrap",
}
INSTALL = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]


@contextlib.contextmanager
def timed(config: pytest.Config, what: str) -> Iterator[None]:
    """Tell in the end of the output how long something took."""
    began = time.monotonic()
    try:
        yield
    finally:
        config.stash.setdefault(TOOK, {})[what] = time.monotonic() - began


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how long each part of the work with containers took."""
    if TOOK in config.stash:
        parts = ", ".join(f"{what} {took:.0f} s" for what, took in config.stash[TOOK].items())
        terminalreporter.write_line(f"containers: {parts}")


def require() -> None:
    """Have the programs; where CI demands it, root installs Debian's, else the test skips."""
    if engines.answering() is not None:
        return
    missing = [package for program, package in PROGRAMS.items() if not _has(program)]
    if os.geteuid() == 0 and not missing:
        return
    if os.environ.get("REQUIRE_SERVERS") != "1":
        pytest.skip(f"NO DOCKER ENGINE: {engines.REMEDY}")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.fail(f"no Docker engine ({engines.REMEDY}), and REQUIRE_SERVERS=1")
    for command in (["apt-get", "update", "-qq"], [*INSTALL, *missing]):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=400)
        if ended.returncode != 0:
            pytest.fail(f"{' '.join(command)}: {ended.stderr[-2000:]}")


def _has(program: str) -> bool:
    try:
        find(program, "/usr/sbin", remedy="")
    except UserError:
        return False
    return True


@pytest.fixture(scope="session")
def engine_place() -> Iterator[Path]:
    """A directory with a short path, for a socket's may not be long; gone in the end."""
    made = Path(tempfile.mkdtemp(prefix="geovr-engine-"))
    yield made
    with contextlib.suppress(FileNotFoundError):
        made.rmdir()


@pytest.fixture(scope="session")
def engine(engine_place: Path, pytestconfig: pytest.Config) -> Iterator[Engine]:
    """An engine; nothing is left of one that was started for the tests."""
    require()
    with contextlib.ExitStack() as stack:
        with timed(pytestconfig, "engine up"):
            made = stack.enter_context(engines.serving(engine_place))
        yield made
        with timed(pytestconfig, "engine and images removed"):
            stack.close()


@pytest.fixture
def on_engine(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The same, found by everything that reads the environment."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    return engine


@pytest.fixture(scope="session")
def base_image(engine: Engine, engine_place: Path, pytestconfig: pytest.Config) -> str:
    """The base, by debootstrap unless the engine has it."""
    with timed(pytestconfig, "base image"):
        return make_base(engine, engine_place)


@pytest.fixture(scope="session")
def cpu_image(engine: Engine, base_image: str, pytestconfig: pytest.Config) -> str:
    """The cpu image of this checkout."""
    with timed(pytestconfig, "cpu image"):
        return build(engine, "cpu", base_image)


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Iterator[Registry]:
    """A registry on the loopback."""
    with registries.serving(tmp_path / "registry") as made:
        yield made
