from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from geovr import cli_json
from pipelines.client import following, server
from tests.kfp_server import kfp_server
from tests.pipelines.cluster import Cluster

TOKEN = "token-of-the-test"


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
        yield Cluster(kfp, tmp_path, capsys)
    cli_json.start(False)
