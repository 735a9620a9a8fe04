"""Imports point one way, and each outside package has one home."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.workspace import REPOSITORY

LEVELS = {
    "pipelines": 6,
    "components": 5,
    "geovr.cli": 5,
    "geovr.cli_inspect": 5,
    "geovr.cli_plan": 5,
    "geovr.cli_report": 5,
    "geovr.cli_data": 5,
    "geovr.cli_models": 5,
    "geovr.cli_doctor": 5,
    "geovr.cli_ask": 5,
    "geovr.cli_compare": 5,
    "geovr.cli_runs": 5,
    "geovr.cli_study": 5,
    "geovr.study": 4,
    "geovr.cli_leakage": 5,
    "geovr.cli_probe": 5,
    "geovr.asking": 3,
    "geovr.comparing": 3,
    "geovr.probing": 3,
    "geovr.cli_benchmark": 5,
    "geovr.doctor": 4,
    "geovr.launch": 4,
    "geovr.stages": 3,
    "geovr.promotion": 2,
    "geovr.evaluation": 2,
    "geovr.ingesting": 2,
    "geovr.leakage": 2,
    "geovr.export": 2,
    "geovr.inspection": 2,
    "geovr.report": 2,
    "geovr.planning": 3,
    "geovr.training": 2,
    "geovr.quality": 2,
    "geovr.teachers": 2,
    "geovr.simulation": 2,
    "geovr.model": 1,
    "geovr.losses": 0.5,
    "geovr.data": 0.5,
    "geovr.geometry": 0,
}
"""A module may import from its own level or a lower one; what is not listed may be used by all."""

HOMES = {
    "mlflow": {
        "geovr/tracking.py",
        "geovr/tracking_database.py",
        "geovr/model_registry.py",
    },
    "boto3": {
        "geovr/storage_s3.py",
        "geovr/storage_s3_client.py",
        "geovr/storage_s3_failures.py",
    },
    "dvc": {"geovr/storage_dvc.py"},
    "torchx": {"geovr/launch/"},
    "great_expectations": {"geovr/quality/expectations.py"},
    "matplotlib": {"geovr/inspection/pictures.py"},
    "peft": {"geovr/model/lora.py"},
    "kfp": {"components", "pipelines"},
    "kfp_server_api": {"pipelines/client/"},
    "docker": {"pipelines/docker.py", "geovr/doctor/services.py"},
}

FILES = [
    path
    for package in ("geovr", "components", "pipelines")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
]


def level(module: str) -> float | None:
    parts = module.split(".")
    for length in (2, 1):
        name = ".".join(parts[:length])
        if name in LEVELS:
            return LEVELS[name]
    return None


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module]
            if node.module == "geovr":
                found += [f"geovr.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_imports_point_downwards_and_packages_stay_at_home(path: Path) -> None:
    here = path.relative_to(REPOSITORY).as_posix()
    own = level(here.removesuffix(".py").replace("/", "."))
    for module in imports(path):
        package = module.split(".")[0]
        if package in HOMES:
            homes = HOMES[package]
            folders = {f"{parent.as_posix()}/" for parent in Path(here).parents}
            allowed = homes & {here, here.split("/")[0], *folders}
            assert allowed, f"{module} has no business here"
        theirs = level(module)
        if own is not None and theirs is not None:
            assert theirs <= own, f"{here} must not import {module}"


def test_geometry_and_losses_know_no_model() -> None:
    for path in FILES:
        here = path.relative_to(REPOSITORY).as_posix()
        if here.startswith(("geovr/geometry", "geovr/losses")):
            assert not [m for m in imports(path) if m.startswith(("geovr.model", "geovr.data"))]


def test_nothing_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    forbidden = re.compile(
        r"/(?:work|farm|opt/pypi|opt/wheels)/|pypi\.org|pythonhosted|docker\.io/|quay\.io|ghcr\.io"
    )
    found = [
        f"{name}:{number}"
        for name in listed
        if name != "tests/architecture/test_imports.py"
        and (REPOSITORY / name).is_file()
        and (REPOSITORY / name).suffix not in (".png", ".mp4")
        for number, line in enumerate((REPOSITORY / name).read_text().splitlines(), start=1)
        if forbidden.search(line)
    ]
    assert not found
