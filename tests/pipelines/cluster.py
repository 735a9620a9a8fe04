"""A KFP server for tests of the commands, and the commands as a user runs them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from geovr.cli import outcome
from pipelines.__main__ import app
from tests.kfp_server import KfpServer

IMAGE = "registry.example/geovr/cpu@sha256:" + "a" * 64
PARAMS = """
store: s3://bucket/store
ingest: {videos: videos, questions: [{path: questions.jsonl, split: train}], workers: 2}
extract_targets: {teacher: oracle, oracle: {ground_truth: truth}}
train: {base_model: model, steps: 1}
register: {model_name: m}
"""


@dataclass
class Told:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which is one object with --json."""
        return json.loads(self.out)


class Cluster:
    """A server, and a directory with data, parameters and images to run on it."""

    def __init__(self, server: KfpServer, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.server, self.state, self.root, self._capsys = server, server.state, root, capsys
        self.images(IMAGE)
        (root / "params.yaml").write_text(PARAMS)
        (root / "videos").mkdir()
        (root / "videos/a.mp4").write_bytes(b"a")
        (root / "questions.jsonl").write_text("{}\n")

    def images(self, image: str) -> None:
        """Write the images file."""
        (self.root / "images.json").write_text(json.dumps({"default": image}))

    def __call__(self, *arguments: str) -> Told:
        """Run a command of `python -m pipelines`."""
        self._capsys.readouterr()
        try:
            code = outcome(lambda: app(list(arguments), prog_name="pipelines"))
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self._capsys.readouterr()
        return Told(code, out, err)

    def submit(self, *arguments: str) -> Told:
        """Submit with the images and `arguments`."""
        return self("submit", "--images", "images.json", *arguments)

    def schedule(self, *arguments: str) -> Told:
        """Schedule with the images and `arguments`, at two each night unless those say when."""
        when = () if {"--cron", "--interval"} & set(arguments) else ("--cron", "0 0 2 * * *")
        return self("schedule", "--images", "images.json", *when, *arguments)
