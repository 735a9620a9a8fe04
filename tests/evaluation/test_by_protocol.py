"""Answers by a named protocol equal plain transformers', whatever is asked together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.input import InputConfig
from geovr.data.numbers import BIN_TEXTS
from geovr.evaluation.answer import Answerer, Model
from geovr.evaluation.answering import cut
from geovr.evaluation.manner import Manner, manner_of, sample_fps
from geovr.evaluation.protocol import Generation
from geovr.evaluation.protocols import protocol_named
from geovr.evaluation.scorers import score
from geovr.model.forward import load_backbone
from geovr.model.initialise import init_model
from geovr.stages.ingest import IngestConfig, ingest
from tests import published
from tests.answers import answer_questions
from tests.media import write_video
from tests.model.test_export import STOCK

TENTHS = [0.1 * n for n in range(70)]
FPS = 10.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, large enough that other words and frames get other answers."""
    path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    backbone, processor = load_backbone(path)
    backbone.requires_grad_(False)
    for name, weights in backbone.named_parameters():
        if weights.ndim > 1 and "embed" not in name:
            weights *= 4
    backbone.save_pretrained(path)  # type: ignore[attr-defined]
    processor.save_pretrained(path)
    return path


def clips_of(root: Path, benchmark: str, protocol: str) -> ClipSet:
    source = {"name": benchmark, "path": str(root / "published")}
    config = IngestConfig.model_validate(
        {"store": str(root / "store"), "workers": 1, "benchmark": source, "protocol": protocol}
    )
    return ingest(config, output=root / "clips")


@pytest.fixture(scope="module")
def vsi(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    """Three questions about two videos, of which the official sampler shows 32 frames."""
    root = tmp_path_factory.mktemp("vsi")
    published.vsi(root / "published")
    write_video(root / "published/scannet/scene0011_00.mp4", TENTHS)
    return clips_of(root, "vsi-bench", "vsi-bench/official")


@pytest.fixture(scope="module")
def sti(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    """Two questions about a video of 70 frames, of which STI-Bench shows every second one."""
    root = tmp_path_factory.mktemp("sti")
    published.sti(root / "published")
    write_video(root / "published/video/000013.mp4", TENTHS)
    return clips_of(root, "sti-bench", "sti-bench/official")


def manner(clips: ClipSet, protocol: str, **generation: Any) -> Manner:
    found = manner_of(protocol_named(protocol), clips.questions, clips.index, seed=3)
    return replace(found, generation=found.generation.model_copy(update=generation))


def said(model: Path, clips: ClipSet, how: Manner, rows: int = 4) -> list[str]:
    found = answer_questions(
        model, clips, clips.questions, numeric="greedy", batch_rows=rows, manner=how
    )
    assert [answer.id for answer in found] == list(clips.questions["id"])
    assert all(answer.nll is not None and answer.nll > 0 for answer in found)
    return [answer.text for answer in found]


def stock(model: Path, clips: ClipSet, how: Manner, scratch: Path, **more: Any) -> list[str]:
    """What plain transformers says to the same, one question at a time."""
    rows = {row.clip_id: row for row in clips.index.itertuples(index=False)}
    job = []
    for asked, prompt in zip(
        clips.questions.itertuples(index=False), how.prompts or (), strict=True
    ):
        row = rows[asked.clip_id]
        frames = scratch / f"{len(job)}.npy"
        np.save(frames, read_clip(clips.store, row).frames_THWC)
        steps = np.diff(row.timestamps) / np.diff(row.frame_indices)
        rate = {round(1 / step, 4) for step in steps}
        item = {"frames": str(frames), "prompt": prompt, "fps": min(rate),
                "places": [int(p) for p in row.frame_indices],
                "question_first": how.question_first}  # fmt: skip
        assert len(rate) == 1
        job.append(item | more)
    (scratch / "job.json").write_text(json.dumps(job))
    subprocess.run(
        [sys.executable, str(STOCK), "answers", str(model), str(scratch / "job.json"),
         str(scratch / "said.json")],
        check=True, cwd=scratch, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    found: list[str] = json.loads((scratch / "said.json").read_text())
    return found


def test_the_official_prompt_of_vsi_bench_as_plain_transformers_answers_it(
    model: Path, vsi: ClipSet, tmp_path: Path
) -> None:
    how = manner(vsi, "vsi-bench/official")
    assert how.prompts is not None and how.prompts[0].startswith("These are frames of a video.\n")
    ours = said(model, vsi, how)
    assert ours == stock(model, vsi, how, tmp_path) and len(set(ours)) > 1
    # the words decide
    assert ours != said(model, vsi, manner(vsi, "vsi-bench/easi", max_new_tokens=16))


def test_sti_bench_asks_before_it_shows_and_so_does_plain_transformers(
    model: Path, sti: ClipSet, tmp_path: Path
) -> None:
    (row,) = sti.index.itertuples(index=False)
    assert list(row.frame_indices) == list(range(0, 60, 2))
    how = manner(sti, "sti-bench/official")
    assert how.question_first and all("at about 5.00 FPS" in text for text in how.prompts or ())
    ours = said(model, sti, how)
    assert ours == stock(model, sti, how, tmp_path, max_new_tokens=100)
    assert len(set(ours)) == 2
    assert ours != said(model, sti, replace(how, question_first=False))
    table = sti.questions.reset_index(drop=True)
    answerer = Answerer(Model(model), sti, table, numeric="greedy", manner=how)
    parts = cut(answerer, 8)
    assert [part.places for part in parts] == [((0,), (1,))], "a row of its own for each question"
    # and counted as such: the two differ by their words
    prefix = answerer.maker.tokens
    for place in (0, 1):
        text = len(prefix.encode(answerer.maker.prompt(place)))
        assert answerer.maker.branch_length(place) > text


def test_a_penalty_as_in_plain_transformers(model: Path, vsi: ClipSet, tmp_path: Path) -> None:
    how = manner(vsi, "vsi-bench/official", repetition_penalty=1.5, max_new_tokens=24)
    ours = said(model, vsi, how)
    more = {"repetition_penalty": 1.5, "max_new_tokens": 24}
    assert ours == stock(model, vsi, how, tmp_path, **more)
    assert ours != said(model, vsi, manner(vsi, "vsi-bench/official", max_new_tokens=24))


def test_sampled_answers_hang_on_seed_and_question_and_not_on_the_batch(
    model: Path, vsi: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = manner(vsi, "vsi-bench/geovr-paper", max_new_tokens=20)
    together = said(model, vsi, how)
    assert together == said(model, vsi, how) and len(set(together)) > 1
    monkeypatch.setattr("geovr.evaluation.answer.MOST_BRANCHES", 1)
    assert together == said(model, vsi, how, rows=1)
    assert together != said(model, vsi, replace(how, seed=4))
    greedy = manner(vsi, "vsi-bench/geovr-paper", max_new_tokens=20, do_sample=False)
    assert together != said(model, vsi, greedy)


def test_answers_that_grow_long_wait_and_come_out_the_same(
    model: Path, vsi: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = manner(vsi, "vsi-bench/official", max_new_tokens=40)
    wanted = said(model, vsi, how)
    assert max(len(text) for text in wanted) > 40, "else nothing would have to wait"
    calls: list[list[list[int]]] = []
    answer = Answerer._answer

    def counted(self: Answerer, prefixes: Any, places: list[list[int]]) -> Any:
        calls.append(places)
        return answer(self, prefixes, places)

    monkeypatch.setattr(Answerer, "_answer", counted)
    monkeypatch.setattr("geovr.evaluation.answer.LONGEST_TOGETHER", 30)
    assert said(model, vsi, how) == wanted
    assert [len(row) for row in calls[0]] == [1, 2] and len(calls) == 2
    assert sorted(map(len, calls[1])) == [0, 1], "only what waited is asked again"


def test_room_for_a_long_answer_is_not_taken_before_it_is_needed(model: Path, vsi: ClipSet) -> None:
    table = vsi.questions.reset_index(drop=True)
    how = Manner(generation=Generation(max_new_tokens=32 * 1024))
    answerer = Answerer(Model(model), vsi, table, numeric="greedy", manner=how)
    clip_ids = list(answerer.by_clip)
    with torch.inference_mode():
        prefixes = answerer._prefixes(clip_ids, list(answerer.by_clip.values()))
    assert prefixes.memory.room < 400


def test_a_question_to_be_answered_in_words_is_never_answered_by_a_number(
    model: Path, tmp_path: Path
) -> None:
    published.spar(tmp_path / "published")
    clips = clips_of(tmp_path, "spar-bench", "spar-bench/official")
    how = manner(clips, "spar-bench/official", max_new_tokens=5)
    found = answer_questions(
        model, clips, clips.questions, numeric="expected_score", batch_rows=4, manner=how
    )
    texts = {answer.id: answer.text for answer in found}
    assert texts["depth_prediction_oc_1"] in BIN_TEXTS
    greedy = answer_questions(
        model, clips, clips.questions, numeric="greedy", batch_rows=4, manner=how
    )
    words = {answer.id: answer for answer in greedy}["view_change_infer_3"]
    assert texts["view_change_infer_3"] == words.text and words.nll is not None
    assert [score(t, "move_right:0.3", None) for t in ("move_right:0.3", "0.3")] == [0, 0]


def test_the_rate_that_is_told_is_the_videos_divided_by_the_step(sti: ClipSet) -> None:
    (row,) = sti.index.itertuples(index=False)
    assert sample_fps(row) == pytest.approx(FPS / 2)
    one = row._replace(timestamps=[0.0], duration=0.04)
    assert sample_fps(one) == pytest.approx(25.0)


def test_a_question_that_holds_a_token_of_media_is_refused_before_media(
    model: Path, sti: ClipSet
) -> None:
    how = manner(sti, "sti-bench/official")
    broken = replace(how, prompts=["a <|video_pad|> b", "c"])
    with pytest.raises(Exception, match=r"holds a token of images or videos: 'a <|video_pad|> b'"):
        answer_questions(
            model, sti, sti.questions, numeric="greedy", batch_rows=2, manner=broken,
            shown=InputConfig(max_tokens=None),
        )  # fmt: skip
