"""The doors agree: names, order and edges in STAGES, CLI, dvc.yaml, components and pipeline."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from kfp import compiler

from geovr.cli import app
from geovr.stages import BY_NAME, STAGES
from pipelines.training import make_pipeline
from tests.workspace import REPOSITORY

NAMES = [stage.name for stage in STAGES]
PRODUCER = {stage.output: stage.name for stage in STAGES}
EDGES = {
    (before, stage.name)
    for stage in STAGES
    for before in {PRODUCER[name] for name in stage.inputs} | set(stage.after)
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(make_pipeline(), str(path))
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def test_functions_take_what_the_table_says() -> None:
    for stage in STAGES:
        parameters = list(inspect.signature(stage.function()).parameters)
        assert parameters == ["config", *stage.inputs, "output"]
        assert stage.config_class().__name__ == stage.config


def test_command_line() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if name in NAMES] == NAMES
    for stage in STAGES:
        options = {parameter.name for parameter in commands[stage.name].params}
        assert set(stage.inputs) <= options


def test_dvc() -> None:
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    assert list(stages) == NAMES
    made_by = {out: name for name, stage in stages.items() for out in stage["outs"]}
    edges = {
        (made_by[dep], name)
        for name, stage in stages.items()
        for dep in stage["deps"]
        if dep in made_by
    }
    assert edges == EDGES
    for name, stage in stages.items():
        words = shlex.split(stage["cmd"])
        assert words[:2] == ["geovr", name]
        options = dict(zip(words[2::2], words[3::2], strict=True))
        inputs = {f"--{i}": f"artifacts/{i}" for i in BY_NAME[name].inputs}
        assert options == inputs | {"--output": f"artifacts/{BY_NAME[name].output}"}
        assert name in stage["params"]


def test_params_have_a_section_for_each_stage_and_all_are_valid() -> None:
    from geovr.stages.run import stage_config

    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    assert [key for key in params if key in NAMES] == NAMES
    for stage in STAGES:
        stage_config(stage, REPOSITORY / "params.yaml", [])


def test_components() -> None:
    files = {path.stem for path in (REPOSITORY / "components").glob("*.py")}
    assert files - {"__init__", "image"} == set(NAMES)


def test_pipeline(compiled: dict[str, Any]) -> None:
    tasks = compiled["root"]["dag"]["tasks"]
    edges = {
        (before.replace("-", "_"), task.replace("-", "_"))
        for task, body in tasks.items()
        for before in body.get("dependentTasks", [])
    }
    assert {task.replace("-", "_") for task in tasks} == set(NAMES)
    assert edges == EDGES
    assert set(compiled["root"]["inputDefinitions"]["parameters"]) == set(NAMES)
    cached = {task for task, body in tasks.items() if body["cachingOptions"].get("enableCache")}
    assert {task.replace("-", "_") for task in cached} == set(NAMES) - {"ingest", "register"}
    for executor in compiled["deploymentSpec"]["executors"].values():
        assert "@sha256:" in executor["container"]["image"]
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_golden(compiled: dict[str, Any]) -> None:
    """To change it on purpose: `make golden`, and look at the difference before committing."""
    golden = yaml.safe_load(Path(REPOSITORY / "tests/golden/pipeline.yaml").read_text())
    assert compiled == golden
