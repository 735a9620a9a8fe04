from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geovr import cli_json
from pipelines.client import compiled, following, options, server
from tests.kfp_server import kfp_server
from tests.pipelines.cluster import Cluster

TOKEN = "token-of-the-test"
_made: dict[str, compiled.Compiled] = {}


def compiled_once(*arguments: Any) -> compiled.Compiled:
    """The real IR, compiled once in a process for the same arguments: it takes half a second."""
    key = json.dumps(arguments, default=str)
    if key not in _made:
        _made[key] = compiled.compiled(*arguments)
    return _made[key]


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cluster]:
    with kfp_server(TOKEN) as kfp:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("KFP_ENDPOINT", kfp.url)
        monkeypatch.setenv("KFP_TOKEN", TOKEN)
        monkeypatch.setattr(server, "FIRST_DELAY_S", 0.01)
        monkeypatch.setattr(following, "POLL_S", 0.05)
        monkeypatch.setattr(options, "compiled", compiled_once)
        yield Cluster(kfp, tmp_path, capsys)
    cli_json.start(False)
