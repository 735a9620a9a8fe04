"""Fixtures of all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from geovr import tracking
from geovr.stages import STAGES
from tests.hostile import plant
from tests.workspace import Workspace, make_template, make_workspace

pytest_plugins = ("tests.faults.report", "tests.servers", "tests.engine")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# equal bytes are promised for an equal number of threads: here and in the processes tests start
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making the tables takes longer than most tests."""
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOVR_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.client().search_experiments()
    return home / "mlflow.db"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, blank_database: Path) -> Path:
    """A work directory with 8 training and 4 test scenes and a tiny model; never run in."""
    root = make_template(tmp_path_factory.mktemp("template") / "work")
    shutil.copy(blank_database, root / ".geovr/mlflow.db")
    return root


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of the template."""
    return make_workspace(tmp_path / "work", template)


@pytest.fixture(scope="session")
def flown(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A work directory after all seven stages, its inputs hostile in part; only to be read."""
    workspace = make_workspace(tmp_path_factory.mktemp("flown") / "work", template)
    plant(workspace)
    for stage in STAGES:
        workspace.inline(stage.name)
    return workspace


@pytest.fixture(autouse=True)
def own_tracking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """MLflow of in-process tests goes to the test's own directory."""
    home = tmp_path / "geovr-home"
    monkeypatch.setenv("GEOVR_HOME", str(home))
    if (
        request.path.parent.name in ("quality", "stages", "tracking")
        or request.path.name == "test_registry.py"
    ):
        home.mkdir()
        shutil.copy(request.getfixturevalue("blank_database"), home / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
