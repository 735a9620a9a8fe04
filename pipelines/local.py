"""The whole pipeline on this machine, through Kubeflow Pipelines' own local runner."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from geovr.artifacts import Artifact, EvalReport, ModelVersion
from geovr.errors import GateRefused, Interrupted, StoreError, UserError
from geovr.evaluation.report import render_table
from geovr.stages import STAGES
from geovr.stages.evaluate import load_scores
from geovr.tracking import redacted, tracking_uri
from pipelines.docker import Containers
from pipelines.training import make_pipeline

_ERRORS = {
    "UserError": UserError, "GateRefused": GateRefused, "Interrupted": Interrupted,
    "StoreError": StoreError, "LostObject": StoreError,
}  # fmt: skip


def run_local(parameters: dict[str, str], root: Path, containers: Containers | None = None) -> None:
    """Run all stages, and show how each ended, the scores, and the registered version.

    Args:
        parameters: stage name -> its config as JSON.
        root: where the runner keeps what stages hand on.
        containers: to run each stage in; processes of this Python when not given.

    Raises:
        UserError, GateRefused, Interrupted, StoreError: what the red stage raised.
    """
    from kfp import local

    root = root.resolve()
    began = time.monotonic()
    failure: Exception | None = None
    with _run_log(root, containers) as run_log:
        os.environ["GEOVR_RUN_LOG"] = str(run_log)
        runner = _runner(parameters, containers)
        local.init(runner=runner, pipeline_root=str(root), raise_on_error=True)
        images = {} if containers is None else {"default": containers.image}
        try:
            make_pipeline(images)(**parameters)
        except Exception as error:  # KFP's, of whatever kind; what the stage said comes first
            failure = error
        finally:
            if containers is not None:
                containers.stop()
        outcomes = _outcomes(run_log)
    # a log is no terminal, and a table cut to 80 columns says nothing
    console = Console(width=None if sys.stdout.isatty() else 150)
    _print_stages(console, outcomes, time.monotonic() - began)
    red = next((told for told in outcomes.values() if told["status"] != "done"), None)
    if red is not None:
        kind = _ERRORS.get(red["error"], RuntimeError)
        raise kind(f"{red['stage']}: {red['message']}")
    silent = next((stage.name for stage in STAGES if stage.name not in outcomes), None)
    if silent is not None:
        # KFP takes a container that is gone before it is asked for one that did its work
        raise RuntimeError(
            f"{silent}: it ended without saying how: killed, out of memory, or never started; its"
            " last lines stand above"
        ) from failure
    if failure is not None:
        raise failure
    _print_result(console, outcomes)


@contextlib.contextmanager
def _run_log(root: Path, containers: Containers | None) -> Iterator[Path]:
    """A directory in which stages say how they ended, where containers can write as well."""
    run_log = root / f"run-{secrets.token_hex(8)}"
    for place in (root, run_log):
        if containers is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            containers.make(place)
    try:
        yield run_log
    finally:
        shutil.rmtree(run_log)


def _runner(parameters: dict[str, str], containers: Containers | None) -> Any:
    from kfp import local

    if containers is None:
        # the runner starts `python3`, which must be this one
        bin_directory = str(Path(sys.executable).parent)
        os.environ["PATH"] = os.pathsep.join([bin_directory, os.environ.get("PATH", "")])
        return local.SubprocessRunner(use_venv=False)
    return local.DockerRunner(**containers.arguments(parameters))


def _outcomes(run_log: Path) -> dict[str, dict[str, Any]]:
    """How each stage that started has ended; the flow's order."""
    files = {stage.name: run_log / f"{stage.name}.json" for stage in STAGES}
    return {name: json.loads(f.read_text()) for name, f in files.items() if f.is_file()}


def _print_stages(console: Console, outcomes: dict[str, dict[str, Any]], total: float) -> None:
    table = Table(title="Stages")
    for heading in ("stage", "ended", "seconds", "counts"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for stage in STAGES:
        told = outcomes.get(stage.name)
        if told is None:
            table.add_row(stage.name, "not started", "", "")
            continue
        counts = ""
        if told["status"] == "done":
            manifest = json.loads((Path(told["output"]) / "manifest.json").read_text())
            counts = ", ".join(f"{k} {v}" for k, v in manifest["counts"].items() if v)
        table.add_row(stage.name, told["status"], f"{told['seconds']:.1f}", counts)
    table.add_row("all", "", f"{total:.1f}", "", style="bold")
    console.print(table)


def _print_result(console: Console, outcomes: dict[str, dict[str, Any]]) -> None:
    def output(name: str, kind: type[Artifact]) -> Any:
        return kind.load(outcomes[name]["output"])

    console.print(render_table(load_scores(output("evaluate", EvalReport))))
    version = output("register", ModelVersion).manifest.details
    console.print(
        f"Registered {version['name']} version {version['version']}, promotion"
        f" {version['decision']}: {version['reason']}."
    )
    console.print("Where to look:", style="bold")
    page = Path(outcomes["register"]["output"]) / "report.html"
    if page.is_file():
        console.print(f"  the run's report: {page}", soft_wrap=True)
    for name in ("check_clips", "check_targets"):
        console.print(f"  {name}: {outcomes[name]['output']}/report.html", soft_wrap=True)
    console.print(f"  scores: {outcomes['evaluate']['output']}/table.md", soft_wrap=True)
    console.print(f"  model: {version['source']}", soft_wrap=True)
    console.print(
        f"  runs: mlflow ui --backend-store-uri {redacted(tracking_uri())}", soft_wrap=True
    )
