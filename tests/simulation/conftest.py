"""One rendered directory that all tests of the simulator look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from geovr.simulation.simulate import SimulateConfig, simulate

TRAIN, TEST, FRAMES, HEIGHT, WIDTH = 160, 40, 8, 48, 64


@dataclass(frozen=True)
class Rendered:
    root: Path
    summary: dict[str, Any]
    scenes: list[dict[str, Any]]
    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    train_objects: list[dict[str, Any]]
    test_objects: list[dict[str, Any]]

    def truth(self, scene: dict[str, Any]) -> dict[str, Any]:
        return load_file(self.root / scene["ground_truth"])

    def answers(self) -> dict[str, dict[str, tuple[str, str, list[str] | None]]]:
        """Scene -> kind -> (question, answer, options), out of the files of the eight kinds."""
        found: dict[str, dict[str, tuple[str, str, list[str] | None]]] = {}
        for row in self.train:
            text = row["conversations"][0]["value"]
            options = [
                line for line in text.splitlines() if line[:3] in ("A. ", "B. ", "C. ", "D. ")
            ]
            scene = Path(row["video"]).stem
            entry = (text, row["conversations"][1]["value"], options or None)
            found.setdefault(scene, {})[row["question_type"]] = entry
        for row in self.test:
            entry = (row["question"], row["ground_truth"], row["options"])
            found.setdefault(row["scene_name"], {})[row["question_type"]] = entry
        return found


def config(root: Path, **values: Any) -> SimulateConfig:
    given = {"train_scenes": TRAIN, "test_scenes": TEST, "processes": 2, "seed": 7}
    return SimulateConfig(output=root, **(given | values))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    root = tmp_path_factory.mktemp("rooms")
    summary = simulate(config(root))
    return Rendered(
        root,
        summary,
        json.loads((root / "scenes.json").read_text())["scenes"],
        read_jsonl(root / "train_questions.jsonl"),
        read_jsonl(root / "test_questions.jsonl"),
        read_jsonl(root / "train_object_questions.jsonl"),
        read_jsonl(root / "test_object_questions.jsonl"),
    )
