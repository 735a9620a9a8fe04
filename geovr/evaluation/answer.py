"""Answers of a model to questions about clips; the questions of a clip share its prefix.

Only what the model needs at inference is used: the stock classes on the exported directory.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from geovr.artifacts import ClipSet
from geovr.data.dataset import BatchMaker, View
from geovr.data.input import InputConfig
from geovr.data.lengths import frames_to_keep
from geovr.data.numbers import BIN_TEXTS, BINS, is_number
from geovr.data.order import questions_by_clip
from geovr.data.prefix import Branch
from geovr.data.prompts import NumericAnswers
from geovr.evaluation.branching import SharedPrefixes
from geovr.evaluation.generation import draws, next_token, penalised
from geovr.evaluation.manner import Manner
from geovr.evaluation.mra import mean_relative_accuracy
from geovr.model.forward import load_backbone

if TYPE_CHECKING:
    import pandas as pd

NumericDecoding = Literal["greedy", "expected_score"]
MAX_NEW_TOKENS = 16
MOST_BRANCHES = 64
"""Questions of a clip that are asked at once; the mask grows with their square."""
LONGEST_TOGETHER = 16_384
"""Tokens that the answers of a clip may take at once; beyond it all but one are asked again."""


@dataclass(frozen=True)
class Answer:
    """What the model says to one question.

    Attributes:
        id: of the question.
        text: the decoded answer.
        nll: negative log-likelihood of the recorded answer's tokens, in nats; None where the
            backend doesn't tell it.
    """

    id: str
    text: str
    nll: float | None


@functools.cache
def _bin_scores() -> torch.Tensor:
    """Score of saying bin i when bin j is true."""
    return torch.tensor([[mean_relative_accuracy(said, true) for true in BINS] for said in BINS])


def best_number(logits_of_bins: torch.Tensor) -> str:
    """The number of highest expected score, as training on binned numbers has it.

    Args:
        logits_of_bins: of the token of each bin, in order; log-probabilities will do.
    """
    return BIN_TEXTS[int((_bin_scores() @ logits_of_bins.softmax(-1)).argmax())]


class Model:
    """A stock Qwen3-VL, ready to answer.

    Args:
        directory: of the model.
    """

    def __init__(self, directory: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        backbone, self.processor = load_backbone(directory)
        self.backbone: Any = backbone.to(self.device).eval()

    @property
    def ends(self) -> set[int]:
        """Tokens at which the model's own settings end an answer."""
        found = self.backbone.generation_config.eos_token_id
        return set() if found is None else {found} if isinstance(found, int) else set(found)


class Answerer:
    """Answers the questions of a few clips at a time.

    Args:
        model: that answers.
        clips: the clips the questions are about.
        questions: table of questions (see artifacts.ClipSet); places count its rows.
        numeric: greedy decoding of numbers, or the one-token value of highest expected score.
        view: what is shown of the clips.
        shown: how clips are put before the model; None: any length, each frame in its own slot.
        manner: the words, and how answers are generated; None: the flow's.
    """

    def __init__(
        self,
        model: Model,
        clips: ClipSet,
        questions: pd.DataFrame,
        *,
        numeric: NumericDecoding,
        view: View = "video",
        shown: InputConfig | None = None,
        manner: Manner | None = None,
    ) -> None:
        self.manner = manner or Manner()
        self.generation = self.manner.generation
        shown = shown or InputConfig(max_tokens=None)
        self.backbone, self.device = model.backbone, model.device
        self.numeric = numeric
        written: NumericAnswers = "binned" if numeric == "expected_score" else "text"
        self.maker = BatchMaker(
            clips,
            None,
            model.processor,
            questions,
            numeric=written,
            shown=shown,
            view=view,
            cache_mb=64,
            prompts=self.manner.prompts,
            question_first=self.manner.question_first,
        )
        self.by_clip = questions_by_clip(questions)
        self.maker.kept_frames = frames_to_keep(self.maker, self.by_clip, shown)
        self.tokens = self.maker.tokens
        ids = [self.tokens.encode(text) for text in BIN_TEXTS] if written == "binned" else []
        if any(len(one) != 1 for one in ids):
            raise ValueError(
                "evaluate.numeric: expected_score needs a tokenizer in which each of the 121"
                " number bins is one token; use greedy for this model"
            )
        self.bin_ids = torch.tensor([one[0] for one in ids], dtype=torch.int64)
        self.closing = len(self.tokens.encode(self.tokens.end))
        self.ends = model.ends | {self.tokens.end_of_turn}

    @torch.inference_mode()
    def answer(self, clip_ids: list[str], places: list[list[int]]) -> list[Answer]:
        """Answers to the questions at `places` of each clip, in that order."""
        wanted = [place for row in places for place in row]
        if self.manner.question_first:
            # each question has a prefix of its own
            clip_ids = [c for c, row in zip(clip_ids, places, strict=True) for _ in row]
            places = [[place] for place in wanted]
        prefixes = self._prefixes(clip_ids, places)
        begin = prefixes.mark()
        answers: dict[int, Answer] = {}
        at_once = MOST_BRANCHES
        left = places
        while any(left):
            for start in range(0, max(map(len, left)), at_once):
                prefixes.rewind(begin)
                answers |= self._answer(prefixes, [row[start : start + at_once] for row in left])
            left = [[place for place in row if place not in answers] for row in left]
            # what had to wait is long: ask no more of it than there is room for
            at_once = max(1, min(at_once, LONGEST_TOGETHER // self.generation.max_new_tokens))
        return [answers[place] for place in wanted]

    def _prefixes(self, clip_ids: list[str], places: list[list[int]]) -> SharedPrefixes:
        """The clips' prefixes, with room for as many branches as are asked at once.

        Answers that may be long seldom are, so room for all of it is not taken beforehand.
        """
        asked = told = widest = 0
        for row in places:
            for start in range(0, len(row), MOST_BRANCHES):
                branches = [self._branch(place) for place in row[start : start + MOST_BRANCHES]]
                asked = max(asked, sum(len(branch.prompt) for branch in branches))
                told = max(told, sum(len(branch.answer) for branch in branches))
                widest = max(widest, len(branches))
        room = asked + max(told, min(self.generation.max_new_tokens, MAX_NEW_TOKENS) * widest)
        first = [row[0] for row in places] if self.manner.question_first else None
        batch = self.maker.batch_of(clip_ids, [[] for _ in clip_ids], first).to(self.device)
        return SharedPrefixes(self.backbone, batch, room)

    def _branch(self, place: int) -> Branch:
        return self.maker.branch(place, answered=True)

    def _answer(self, prefixes: SharedPrefixes, places: list[list[int]]) -> dict[int, Answer]:
        """Answers to as many questions as are asked at once, but those that have to wait."""
        flat = [place for row in places for place in row]
        asked = prefixes.grow([[self._branch(place).prompt for place in row] for row in places])
        after = prefixes.logits([states[-1:] for states in asked])
        first = dict(zip(flat, after, strict=True))
        nlls = self._nlls(prefixes, places, first)
        texts = {}
        if self.numeric == "expected_score":
            for place in filter(self._is_number, flat):
                texts[place] = best_number(first[place][0, self.bin_ids])
        texts |= self._generate(prefixes, places, first, set(flat) - texts.keys())
        return {
            place: Answer(str(self.maker.questions[place].id), texts[place], nlls[place])
            for place in flat
            if place in texts
        }

    def _nlls(
        self,
        prefixes: SharedPrefixes,
        places: list[list[int]],
        first: dict[int, torch.Tensor],
    ) -> dict[int, float]:
        """Of the recorded answers; what branches took in for it they forget."""
        said = {p: self._branch(p).answer[: -self.closing] for row in places for p in row}
        chances = {p: [logits.log_softmax(-1)] for p, logits in first.items()}
        longer = [[said[p][:-1] for p in row] for row in places]
        grown = [p for row in places for p in row if len(said[p]) > 1]
        if grown:
            mark = prefixes.mark()
            after = prefixes.log_probs(prefixes.grow(longer))
            prefixes.rewind(mark)
            for place, log_probs in zip(grown, after, strict=True):
                chances[place].append(log_probs)
        nlls = {}
        for place, tokens in said.items():
            log_probs = torch.cat(chances[place])[: len(tokens)]
            nlls[place] = -float(log_probs[torch.arange(len(tokens)), list(tokens)].sum())
        return nlls

    def _is_number(self, place: int) -> bool:
        asked = self.maker.questions[place]
        return not asked.options and is_number(asked.answer)

    def _generate(
        self,
        prefixes: SharedPrefixes,
        places: list[list[int]],
        first: dict[int, torch.Tensor],
        still: set[int],
    ) -> dict[int, str]:
        """Answers; all branches that are still open take in a token at a time.

        When they grow long together, all but the first of a clip are given up, to be asked again.
        """
        said: dict[int, list[int]] = {place: [] for place in still}
        after = {place: first[place] for place in still}
        row_of = {place: r for r, row in enumerate(places) for place in row}
        ids = {place: str(self.maker.questions[place].id) for place in still}
        random = {place: draws(self.manner.seed, name) for place, name in ids.items()}
        while True:
            for place, logits in after.items():
                seen = None
                if penalised(self.generation):
                    own = torch.tensor([*self._branch(place).prompt, *said[place]])
                    seen = torch.cat([prefixes.ids_R[row_of[place]].cpu(), own])
                token = next_token(logits[-1], self.generation, seen, random[place])
                if token in self.ends:
                    still.discard(place)
                    continue
                said[place].append(token)
                if len(said[place]) == self.generation.max_new_tokens:
                    still.discard(place)
            for row in places:
                together = [place for place in row if place in still]
                if sum(len(said[place]) for place in together) > LONGEST_TOGETHER:
                    for place in together[1:]:
                        still.discard(place)
                        del said[place]
            if not still:
                break
            states = prefixes.grow(
                [[said[p][-1:] if p in still else [] for p in r] for r in places]
            )
            grown = [p for row in places for p in row if p in still]
            after = dict(zip(grown, prefixes.logits(states), strict=True))
        decode = self.tokens.tokenizer.decode
        return {p: decode(ids, skip_special_tokens=True).strip() for p, ids in said.items()}
