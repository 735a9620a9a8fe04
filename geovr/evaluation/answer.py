"""Answers of a model to questions about clips; the questions of a clip share its prefix.

Only what the model needs at inference is used: the stock classes on the exported directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from geovr import distributed
from geovr.artifacts import ClipSet
from geovr.data.dataset import BatchMaker
from geovr.data.input import InputConfig
from geovr.data.lengths import frames_to_keep
from geovr.data.numbers import BIN_TEXTS, BINS
from geovr.data.order import questions_by_clip
from geovr.data.prefix import Branch
from geovr.data.prompts import NumericAnswers
from geovr.evaluation.mra import mean_relative_accuracy
from geovr.model.forward import load_backbone, text_states, visual_features
from geovr.progress import progress

if TYPE_CHECKING:
    import pandas as pd

NumericDecoding = Literal["greedy", "expected_score"]
MAX_NEW_TOKENS = 16


@dataclass(frozen=True)
class Answer:
    """What the model says to one question.

    Attributes:
        id: of the question.
        text: the decoded answer.
        nll: negative log-likelihood of the recorded answer's tokens, in nats.
    """

    id: str
    text: str
    nll: float


class Answerer:
    """Answers the questions of a few clips at a time."""

    def __init__(
        self,
        directory: Path,
        clips: ClipSet,
        questions: pd.DataFrame,
        *,
        blank: bool,
        numeric: NumericDecoding,
        shown: InputConfig,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        backbone, processor = load_backbone(directory)
        self.backbone: Any = backbone.to(self.device).eval()
        self.numeric = numeric
        written: NumericAnswers = "binned" if numeric == "expected_score" else "text"
        self.maker = BatchMaker(
            clips,
            None,
            processor,
            questions,
            numeric=written,
            shown=shown,
            blank=blank,
            cache_mb=64,
        )
        by_clip = questions_by_clip(questions)
        self.maker.kept_frames = frames_to_keep(self.maker, by_clip, shown)
        self.tokens = self.maker.tokens
        ids = [self.tokens.encode(text) for text in BIN_TEXTS] if written == "binned" else []
        if any(len(one) != 1 for one in ids):
            raise ValueError(
                "evaluate.numeric: expected_score needs a tokenizer in which each of the 121"
                " number bins is one token; use greedy for this model"
            )
        self.bin_ids = torch.tensor([one[0] for one in ids], dtype=torch.int64)
        # score of saying bin i when bin j is true
        self.bin_scores = torch.tensor(
            [[mean_relative_accuracy(said, true) for true in BINS] for said in BINS]
        )

    @torch.inference_mode()
    def _log_probs(self, clip_ids: list[str], branches: list[list[Branch]]) -> list[torch.Tensor]:
        """Per branch, log-probabilities (answer length + 1, V) after the prompt and each token."""
        batch = self.maker.batch_of(clip_ids, branches)
        last = batch.answer_at.tolist()
        batch = batch.to(self.device)
        visual, deepstack = visual_features(self.backbone, batch)
        states = text_states(self.backbone, batch, visual, deepstack)
        flat = states.reshape(-1, states.shape[-1])
        lengths = [len(branch.answer) + 1 for row in branches for branch in row]
        places = [
            place - length + 1 + offset
            for place, length in zip(last, lengths, strict=True)
            for offset in range(length)
        ]
        logits = self.backbone.lm_head(flat[torch.tensor(places, device=self.device)])
        return list(logits.float().log_softmax(-1).cpu().split(lengths))

    def answer(self, clip_ids: list[str], places: list[list[int]]) -> list[Answer]:
        """Answers to the questions at `places` of each clip, in that order."""
        flat_places = [place for row in places for place in row]
        told = [[self.maker.branch(p, answered=True) for p in row] for row in places]
        after = self._log_probs(clip_ids, told)
        closing = len(self.tokens.encode(self.tokens.end))
        nlls, texts = [], {}
        branches = [branch for row in told for branch in row]
        for place, branch, log_probs in zip(flat_places, branches, after, strict=True):
            said = torch.tensor(branch.answer[: len(branch.answer) - closing])
            nlls.append(-float(log_probs[torch.arange(len(said)), said].sum()))
            if self.numeric == "expected_score" and self._is_number(place):
                chances = log_probs[0, self.bin_ids].softmax(-1)
                texts[place] = BIN_TEXTS[int((self.bin_scores @ chances).argmax())]
        self._generate(clip_ids, places, texts)
        return [
            Answer(str(self.maker.questions[place].id), texts[place], nll)
            for place, nll in zip(flat_places, nlls, strict=True)
        ]

    def _is_number(self, place: int) -> bool:
        options = self.maker.questions[place].options
        return options is None or len(options) == 0

    def _generate(
        self, clip_ids: list[str], places: list[list[int]], texts: dict[int, str]
    ) -> None:
        """Greedy answers to all questions that have no text yet; all branches a token at a time."""
        grown = {
            place: self.maker.branch(place, answered=False)
            for row in places
            for place in row
            if place not in texts
        }
        said: dict[int, list[int]] = {place: [] for place in grown}
        open_places = set(grown)
        for _ in range(MAX_NEW_TOKENS):
            rows = [[p for p in row if p in open_places] for row in places]
            keep = [number for number, row in enumerate(rows) if row]
            if not keep:
                break
            asked = [[grown[p] for p in rows[number]] for number in keep]
            after = self._log_probs([clip_ids[number] for number in keep], asked)
            for place, log_probs in zip([p for n in keep for p in rows[n]], after, strict=True):
                token = int(log_probs[-1].argmax())
                if token == self.tokens.end_of_turn:
                    open_places.discard(place)
                    continue
                said[place].append(token)
                grown[place] = Branch((*grown[place].prompt, token), ())
        for place, tokens in said.items():
            texts[place] = self.tokens.tokenizer.decode(tokens, skip_special_tokens=True).strip()


def answer_questions(
    model_directory: Path,
    clips: ClipSet,
    questions: pd.DataFrame,
    *,
    blank: bool,
    numeric: NumericDecoding,
    batch_rows: int,
    shown: InputConfig | None = None,
) -> list[Answer]:
    """Answer questions about clips; ranks share the clips, and each gets all answers.

    Args:
        model_directory: a stock Qwen3-VL directory.
        clips: the clips the questions are about.
        questions: table of questions (see artifacts.ClipSet).
        blank: show black frames instead of the videos.
        numeric: greedy decoding of numbers, or the one-token value of highest expected score.
        batch_rows: clips in one forward pass.
        shown: how clips are put before the model; None: any length, each frame in its own slot.

    Returns:
        one answer per question, in the order of the table.
    """
    questions = questions.reset_index(drop=True)
    shown = shown or InputConfig(max_tokens=None)
    answerer = Answerer(
        model_directory, clips, questions, blank=blank, numeric=numeric, shown=shown
    )
    by_clip = questions_by_clip(questions)
    mine = sorted(by_clip)[distributed.rank() :: distributed.world_size()]
    answers: list[Answer] = []
    what = "answer blanked" if blank else "answer"
    with progress(what, len(mine), "clips") as bar:
        for start in range(0, len(mine), batch_rows):
            chunk = mine[start : start + batch_rows]
            answers += answerer.answer(chunk, [by_clip[clip_id] for clip_id in chunk])
            bar.advance(len(chunk))
    everyone = {a.id: a for part in distributed.gather_objects(answers) for a in part}
    return [everyone[str(question_id)] for question_id in np.asarray(questions["id"])]
