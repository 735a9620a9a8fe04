"""A user's work directory with a few rendered scenes and a tiny model, and ways to use it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def environment(root: Path) -> dict[str, str]:
    """What a process in the work directory sees: no network, one thread, its own tracking."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_", "GEOVR_"))}
    return kept | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(root / ".dvc-site"),
    }


@dataclass
class Workspace:
    """A directory in which every door can be used."""

    root: Path

    def params(self, changes: dict[str, dict[str, Any]]) -> None:
        """Change sections of params.yaml."""
        path = self.root / "params.yaml"
        values = yaml.safe_load(path.read_text())
        for section, fields in changes.items():
            values[section] = (values[section] or {}) | fields
        path.write_text(yaml.safe_dump(values))

    def start(self, *command: str, shared: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a program of the environment in a process group of its own.

        Args:
            command: program and arguments.
            shared: variables of servers that it is to use.
        """
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=environment(self.root) | (shared or {}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *command: str, code: int = 0, shared: dict[str, str] | None = None) -> str:
        """Run a program; its output, when it ends with the expected code."""
        process = self.start(*command, shared=shared)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == code, f"{command} ended {process.returncode}:\n{output}"
        return output

    def inline(self, *arguments: str, code: int = 0) -> str:
        """Run the command line in this process, which has everything imported already."""
        from geovr.cli import app, outcome

        told = io.StringIO()
        handler = logging.StreamHandler(told)
        logger = logging.getLogger("geovr")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        before = os.environ.get("GEOVR_HOME")
        os.environ["GEOVR_HOME"] = str(self.root / ".geovr")

        def run() -> None:
            try:
                app(list(arguments))
            except SystemExit as end:
                assert end.code in (0, None), f"{arguments}:\n{told.getvalue()}"

        try:
            with (
                contextlib.chdir(self.root),
                contextlib.redirect_stdout(told),
                contextlib.redirect_stderr(told),
            ):
                ended = outcome(run)
        finally:
            logger.removeHandler(handler)
            if before is None:
                del os.environ["GEOVR_HOME"]
            else:
                os.environ["GEOVR_HOME"] = before
        assert ended == code, f"{arguments} ended {ended}:\n{told.getvalue()}"
        return told.getvalue()

    def geovr(self, *arguments: str, code: int = 0) -> str:
        """Run the command line."""
        return self.run("geovr", *arguments, code=code)

    def pipeline(self, *arguments: str, code: int = 0) -> str:
        """Run the pipeline locally."""
        return self.run("python", "-m", "pipelines", "run", "--local", *arguments, code=code)

    def manifest(self, name: str) -> dict[str, Any]:
        """Manifest of an artifact below artifacts/."""
        text = (self.root / "artifacts" / name / "manifest.json").read_text()
        loaded: dict[str, Any] = json.loads(text)
        return loaded

    def curve(self, artifact: str = "checkpoint") -> list[float]:
        """Loss of every step."""
        lines = (self.root / "artifacts" / artifact / "curve.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    def kill_when_checkpointed(self, *command: str) -> None:
        """Start training, and kill it and all its processes once a checkpoint stands."""
        process = self.start(*command)
        deadline = time.monotonic() + 200
        try:
            while not list((self.root / ".geovr/store/training").glob("*/steps/*/manifest.json")):
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < deadline, "no checkpoint in time"
                time.sleep(0.02)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert not list((self.root / ".geovr/store/training").glob("*/finished.json"))


def make_workspace(root: Path, template: Path) -> Workspace:
    """A fresh work directory from the session's template."""
    shutil.copytree(template, root, symlinks=True)
    return Workspace(root)


def make_template(root: Path) -> Path:
    """Data, model and parameters of a run that takes seconds."""
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, root / name)
    workspace = Workspace(root)
    inline = {"scheduler": "inline"}
    workspace.params(
        {
            "extract_targets": {"launch": inline},
            "evaluate": {"launch": inline, "batch_rows": 4},
            "train": {
                "launch": inline,
                "steps": 6,
                "clips_per_batch": 4,
                "questions_per_clip": 4,
                "checkpoint_every": 2,
            },
        }
    )
    workspace.geovr("simulate", "--output", "data/rooms", "--scenes", "8+4", "--processes", "1")
    workspace.geovr("init-model", "--preset", "study", "--output", ".geovr/models/study")
    return root
