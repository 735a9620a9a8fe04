"""A later version, on a benchmark that the champion has never answered."""

from __future__ import annotations

import json
import os

import pytest

from geovr.model_registry import CHAMPION, ModelRegistry
from geovr.stages import STAGES
from tests.workspace import Workspace


@pytest.mark.slow
def test_the_champion_is_asked_the_new_questions_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        for stage in STAGES:
            workspace.inline(stage.name)

    run()
    answers = workspace.root / ".geovr/store/evaluation"
    assert len(list(answers.glob("*/predictions.jsonl"))) == 1
    # one test question less is another benchmark
    questions = workspace.root / "data/rooms/test_questions.jsonl"
    lines = questions.read_text().splitlines(keepends=True)
    questions.write_text("".join(lines[:-1]))
    workspace.params({"train": {"seed": 7, "launch": {"scheduler": "inline"}, "steps": 6,
                                "clips_per_batch": 4, "questions_per_clip": 4,
                                "checkpoint_every": 2}})  # fmt: skip
    run()
    # version 1's to the first benchmark, and both versions' to the second
    kept = {path: path.read_bytes() for path in answers.glob("*/predictions.jsonl")}
    # a header, and a line for each question
    assert sorted(len(data.splitlines()) for data in kept.values()) == [
        len(lines), len(lines), len(lines) + 1,
    ]  # fmt: skip
    decision = json.loads((workspace.root / "artifacts/model_version/decision.json").read_text())
    assert decision["version"] == 2 and decision["champion"] == 1
    gain = decision["gains"]["mean"]
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert f"{100 * gain['mean']:+.1f} points" in decision["reason"]
    monkeypatch.setitem(os.environ, "GEOVR_HOME", str(workspace.root / ".geovr"))
    champion = ModelRegistry("geovr").by_alias(CHAMPION)
    assert champion is not None and champion.number == (2 if decision["approved"] else 1)
    # registering again compares with the answers that are there
    workspace.inline("register")
    assert {path: path.read_bytes() for path in answers.glob("*/predictions.jsonl")} == kept
