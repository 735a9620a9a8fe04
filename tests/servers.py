"""Real servers for tests: PostgreSQL, S3 and MLflow, as `python -m infra.local up` starts them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from geovr.errors import UserError
from infra.local import postgres, s3
from infra.local.servers import Servers, serving

RAN_AGAINST = pytest.StashKey[str]()
INSTALL = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"]


def require() -> None:
    """Have their programs; where CI demands it, root installs Debian's, else the test skips."""
    try:
        s3.program()
        postgres.program("postgres")
        postgres.account()
    except UserError as error:
        if os.environ.get("REQUIRE_SERVERS") != "1":
            pytest.skip(f"NO SERVERS: {error}")
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.fail(f"{error}, and REQUIRE_SERVERS=1")
        for command in (["apt-get", "update", "-qq"], INSTALL):
            ended = subprocess.run(command, capture_output=True, text=True, timeout=400)
            if ended.returncode != 0:
                pytest.fail(f"{' '.join(command)}: {ended.stderr[-2000:]}")
        postgres.program("postgres")


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Servers]:
    """All three, told of in the end of the output; nothing of them is left then."""
    require()
    with serving(tmp_path_factory.mktemp("servers") / "kept") as made:
        pytestconfig.stash[RAN_AGAINST] = made.describe()
        yield made


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which servers the tests ran against."""
    if RAN_AGAINST in config.stash:
        terminalreporter.write_line(f"ran against {config.stash[RAN_AGAINST]}")


@pytest.fixture
def on_servers(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """The same, with MLflow, S3 and everything that reads the environment pointed at them."""
    for name, value in servers.variables.items():
        monkeypatch.setenv(name, value)
    return servers


def store_of(test: Path) -> str:
    """A store of a test's own on the S3 server."""
    return f"s3://{s3.BUCKET}/{test.name}"
