"""`geovr export`, and what people with plain transformers get from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geovr.artifacts import Checkpoint, ClipSet
from geovr.data.clips import read_clip
from geovr.data.prompts import prompt_text
from tests.answers import answer_questions
from tests.model.test_export import STOCK
from tests.workspace import Workspace, make_workspace


@pytest.fixture(scope="module")
def trained(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("export") / "work", template)
    for stage in ("ingest", "extract_targets", "train"):
        workspace.inline(stage)
    return workspace


def test_a_checkpoint_becomes_a_stock_directory(trained: Workspace) -> None:
    told = trained.inline("export", "artifacts/checkpoint", "out/model", "--dtype", "float32")
    out = trained.root / "out/model"
    assert "loads with transformers" in told and "heads.safetensors" in told
    expected = {
        "config.json",
        "model.safetensors",
        "heads.safetensors",
        "README.md",
        "tokenizer.json",
    }
    assert expected <= {path.name for path in out.iterdir()}
    assert not [path for path in out.parent.iterdir() if path != out]
    store = Checkpoint.load(trained.root / "artifacts/checkpoint")
    kept = store.store.get_directory(
        store.manifest.details["prefix"], store.manifest.details["files"], trained.root / "x"
    )
    assert (out / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()
    refused = trained.inline("export", "artifacts/checkpoint", "out/model", code=2)
    assert "not empty" in refused and "--force" in refused
    trained.inline("export", "artifacts/checkpoint", "out/model", "--force")
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    smaller = (out / "model.safetensors").stat().st_size
    assert smaller < 0.6 * (kept / "model.safetensors").stat().st_size


def test_a_damaged_checkpoint_is_not_exported(trained: Workspace, tmp_path: Path) -> None:
    details = trained.manifest("checkpoint")["details"]
    path = trained.root / ".geovr/store" / details["prefix"] / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        told = trained.inline("export", "artifacts/checkpoint", "broken", code=1)
    finally:
        path.write_bytes(whole)
    assert "model.safetensors" in told
    assert not (trained.root / "broken").exists()


@pytest.mark.slow
def test_a_stock_user_gets_our_greedy_answers(trained: Workspace, tmp_path: Path) -> None:
    """50 questions: through our packed rows, and one by one through plain transformers."""
    # trained for long enough to have something to say
    longer = ("--set", "train.steps=100", "--output", "artifacts/longer")
    trained.inline("train", *longer, "--set", "train.optim.learning_rate=3e-3")
    trained.inline("export", "artifacts/longer", "stock", "--dtype", "float32")
    clips = ClipSet.load(trained.root / "artifacts/clips")
    compare(trained.root / "stock", clips, tmp_path, count=50)


def compare(directory: Path, clips: ClipSet, scratch: Path, count: int) -> None:
    """Greedy answers of both, asserted to be equal."""
    questions = clips.questions.head(count).reset_index(drop=True)
    assert len(questions) == count
    ours = answer_questions(directory, clips, questions, numeric="greedy", batch_rows=8)
    rows = {row.clip_id: row for row in clips.index.itertuples(index=False)}
    job = []
    for asked in questions.itertuples(index=False):
        clip = read_clip(clips.store, rows[asked.clip_id])
        frames = scratch / f"{len(job)}.npy"
        np.save(frames, clip.frames_THWC)
        (step,) = {round(float(s), 6) for s in np.diff(clip.timestamps_T)}
        prompt = prompt_text(asked.question, asked.options)
        job.append({"frames": str(frames), "fps": 1 / step, "prompt": prompt})
    (scratch / "job.json").write_text(json.dumps(job))
    subprocess.run(
        [sys.executable, str(STOCK), "answers", str(directory), str(scratch / "job.json"),
         str(scratch / "said.json")],
        check=True, cwd=scratch, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    said = json.loads((scratch / "said.json").read_text())
    assert said == [answer.text for answer in ours]
    assert len(set(said)) > 1
