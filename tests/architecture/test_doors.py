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
from pipelines.cluster import read_cluster
from pipelines.compiling import write
from pipelines.images import read_images
from pipelines.training import make_pipeline
from tests.workspace import REPOSITORY

GOLDEN = REPOSITORY / "tests/golden"
NAMES = [stage.name for stage in STAGES]
PRODUCER = {stage.output: stage.name for stage in STAGES}
EDGES = {
    (before, stage.name)
    for stage in STAGES
    for before in {PRODUCER[name] for name in stage.inputs} | set(stage.after)
}


def loaded(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(make_pipeline(), str(path))
    (pipeline,) = loaded(path)
    return pipeline


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("compiled") / "pipeline-cluster.yaml"
    write(path, read_images(GOLDEN / "images.json"), cluster=read_cluster(GOLDEN / "cluster.yaml"))
    return loaded(path)


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
    # `notify` ends a run on a cluster and is no stage
    assert files - {"__init__", "image", "notify"} == set(NAMES)


def check_tasks(tasks: dict[str, Any]) -> None:
    edges = {
        (before.replace("-", "_"), task.replace("-", "_"))
        for task, body in tasks.items()
        for before in body.get("dependentTasks", [])
    }
    assert {task.replace("-", "_") for task in tasks} == set(NAMES)
    assert edges == EDGES
    cached = {task for task, body in tasks.items() if body["cachingOptions"].get("enableCache")}
    assert {task.replace("-", "_") for task in cached} == set(NAMES) - {"ingest", "register"}


def check_executors(pipeline: dict[str, Any]) -> None:
    for executor in pipeline["deploymentSpec"]["executors"].values():
        assert "@sha256:" in executor["container"]["image"]
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_pipeline(compiled: dict[str, Any]) -> None:
    check_tasks(compiled["root"]["dag"]["tasks"])
    assert set(compiled["root"]["inputDefinitions"]["parameters"]) == set(NAMES)
    check_executors(compiled)


def test_pipeline_on_a_cluster(on_cluster: list[dict[str, Any]]) -> None:
    pipeline, _ = on_cluster
    root = pipeline["root"]["dag"]["tasks"]
    assert set(root) == {"exit-handler-1", "notify"}
    assert root["notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    check_tasks(pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"])
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {*NAMES, "gpu_node_selector", "gpu_tolerations"}
    # what a run needs not give is where its GPUs are
    assert {name for name, one in parameters.items() if "defaultValue" not in one} == set(NAMES)
    check_executors(pipeline)


def test_golden(compiled: dict[str, Any], on_cluster: list[dict[str, Any]]) -> None:
    """To change it on purpose: `make golden`, and look at the difference before committing."""
    assert [compiled] == loaded(GOLDEN / "pipeline.yaml")
    assert on_cluster == loaded(GOLDEN / "pipeline-cluster.yaml")
