"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workspace import Workspace, make_template, make_workspace

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work directory with 8 training and 4 test scenes and a tiny model; never run in."""
    return make_template(tmp_path_factory.mktemp("template") / "work")


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of the template."""
    return make_workspace(tmp_path / "work", template)


@pytest.fixture(autouse=True)
def own_tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow of in-process tests goes to the test's own directory."""
    monkeypatch.setenv("GEOVR_HOME", str(tmp_path / "geovr-home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
