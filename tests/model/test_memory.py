"""Branches grown behind a remembered prefix say what whole rows say, in any steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.data.batch import Batch
from geovr.data.prefix import PromptTokens
from geovr.data.rows import Layout
from geovr.evaluation.branching import SharedPrefixes
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone, text_states, visual_features
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from tests.model.test_packing import QUESTIONS, clip, make_batch

ASKED = [[0, 2, 3], [1]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return load_backbone(path)


class Rows:
    """Two clips of different lengths with their questions, whole and as prefixes."""

    def __init__(self, loaded: tuple[Any, Any], layout: Layout, tokens: bool) -> None:
        self.backbone, processor = loaded
        prompt = PromptTokens(processor)
        self.branches = [[prompt.branch(*QUESTIONS[q]) for q in row] for row in ASKED]
        clips = [clip(5), clip(2, 64, 96)]
        self.whole, self.bare = (
            make_batch(
                processor,
                [(c, asked, None) for c, asked in zip(clips, questions, strict=True)],
                layout=layout,
                tokens=tokens,
                packed=True,
            )
            for questions in (ASKED, [[], []])
        )
        self.model = GeoVR(self.backbone, HeadsConfig(token_std=1.0), Objectives(), 16)
        self.tokens = tokens

    def place(self, batch: Batch) -> Any:
        return (lambda flat: self.model._place_tokens(flat, batch)) if self.tokens else None

    def wanted(self) -> list[torch.Tensor]:
        """States of every branch's tokens in whole rows."""
        visual, deepstack = visual_features(self.backbone, self.whole)
        place = self.place(self.whole)
        flat = text_states(self.backbone, self.whole, visual, deepstack, place)[0]
        found = []
        for row, start in enumerate(self.whole.starts_R):
            at = start + self.whole.prefixes_R[row]
            for branch in self.branches[row]:
                length = len(branch.prompt + branch.answer)
                found.append(flat[at : at + length])
                at += length
        return found

    def prefixes(self, room: int = 400) -> SharedPrefixes:
        return SharedPrefixes(self.backbone, self.bare, room, self.place(self.bare))


@pytest.mark.parametrize(
    ("layout", "tokens"), [("readout", False), ("readout", True), ("visible", True)]
)
@torch.inference_mode()
def test_in_steps_as_in_whole_rows(loaded: tuple[Any, Any], layout: Layout, tokens: bool) -> None:
    """Prompts at once, answers a token at a time; branches that are through rest."""
    rows = Rows(loaded, layout, tokens)
    prefixes = rows.prefixes()
    found = [[states] for states in prefixes.grow([[b.prompt for b in r] for r in rows.branches])]
    answers = [[b.answer for b in row] for row in rows.branches]
    flat = [answer for row in answers for answer in row]
    for step in range(max(map(len, flat))):
        grown = iter(prefixes.grow([[a[step : step + 1] for a in row] for row in answers]))
        for kept, answer in zip(found, flat, strict=True):
            if step < len(answer):
                kept.append(next(grown))
        assert next(grown, None) is None
    for kept, wanted in zip(found, rows.wanted(), strict=True):
        torch.testing.assert_close(torch.cat(kept), wanted, rtol=1e-4, atol=2e-5)


@torch.inference_mode()
def test_what_is_taken_back_leaves_no_trace(loaded: tuple[Any, Any]) -> None:
    rows = Rows(loaded, "readout", False)
    prompts = [[branch.prompt for branch in row] for row in rows.branches]
    answers = [[branch.answer for branch in row] for row in rows.branches]
    straight = rows.prefixes()
    straight.grow(prompts)
    wanted = straight.grow(answers)
    astray = rows.prefixes()
    begin = astray.mark()
    astray.grow([[[5, 6, 7]], [[8, 9], [10]]])
    astray.rewind(begin)
    astray.grow(prompts)
    asked = astray.mark()
    astray.grow([[[11], [12], []], [[13, 14]]])
    astray.rewind(asked)
    for ours, theirs in zip(astray.grow(answers), wanted, strict=True):
        assert torch.equal(ours, theirs)


@torch.inference_mode()
def test_room_that_is_used_up_grows_and_changes_nothing(loaded: tuple[Any, Any]) -> None:
    rows = Rows(loaded, "readout", False)
    ample, tight = rows.prefixes(), rows.prefixes(room=4)
    for step in ([[[5, 6], []], [[5]]], [[[], [7]], [[5, 6, 7]]], [[[5], [9]], [[8]]]):
        for ours, theirs in zip(tight.grow(step), ample.grow(step), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert 4 < tight.memory.room < 30
