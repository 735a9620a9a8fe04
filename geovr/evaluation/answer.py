"""Answers of a model to questions about clips; the questions of a clip share its prefix.

Only what the model needs at inference is used: the stock classes on the exported directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from geovr.artifacts import ClipSet
from geovr.data.dataset import BatchMaker, View
from geovr.data.input import InputConfig
from geovr.data.lengths import frames_to_keep
from geovr.data.numbers import BIN_TEXTS, BINS
from geovr.data.order import questions_by_clip
from geovr.data.prefix import Branch
from geovr.data.prompts import NumericAnswers
from geovr.evaluation.branching import SharedPrefixes
from geovr.evaluation.mra import mean_relative_accuracy
from geovr.model.forward import load_backbone

if TYPE_CHECKING:
    import pandas as pd

NumericDecoding = Literal["greedy", "expected_score"]
MAX_NEW_TOKENS = 16
MOST_BRANCHES = 64
"""Questions of a clip that are asked at once; the mask grows with their square."""


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


class Model:
    """A stock Qwen3-VL, ready to answer.

    Args:
        directory: of the model.
    """

    def __init__(self, directory: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        backbone, self.processor = load_backbone(directory)
        self.backbone: Any = backbone.to(self.device).eval()


class Answerer:
    """Answers the questions of a few clips at a time.

    Args:
        model: that answers.
        clips: the clips the questions are about.
        questions: table of questions (see artifacts.ClipSet); places count its rows.
        numeric: greedy decoding of numbers, or the one-token value of highest expected score.
        view: what is shown of the clips.
        shown: how clips are put before the model; None: any length, each frame in its own slot.
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
    ) -> None:
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
        # score of saying bin i when bin j is true
        self.bin_scores = torch.tensor(
            [[mean_relative_accuracy(said, true) for true in BINS] for said in BINS]
        )

    @torch.inference_mode()
    def answer(self, clip_ids: list[str], places: list[list[int]]) -> list[Answer]:
        """Answers to the questions at `places` of each clip, in that order."""
        most = max(map(len, places))
        prefixes = self._prefixes(clip_ids, places)
        begin = prefixes.mark()
        answers: dict[int, Answer] = {}
        for start in range(0, most, MOST_BRANCHES):
            prefixes.rewind(begin)
            answers |= self._answer(
                prefixes, [row[start : start + MOST_BRANCHES] for row in places]
            )
        return [answers[place] for row in places for place in row]

    def _prefixes(self, clip_ids: list[str], places: list[list[int]]) -> SharedPrefixes:
        """The clips' prefixes, with room for as many branches as are asked at once."""
        asked = told = widest = 0
        for row in places:
            for start in range(0, len(row), MOST_BRANCHES):
                branches = [self._branch(place) for place in row[start : start + MOST_BRANCHES]]
                asked = max(asked, sum(len(branch.prompt) for branch in branches))
                told = max(told, sum(len(branch.answer) for branch in branches))
                widest = max(widest, len(branches))
        room = asked + max(told, MAX_NEW_TOKENS * widest)
        batch = self.maker.batch_of(clip_ids, [[] for _ in clip_ids]).to(self.device)
        return SharedPrefixes(self.backbone, batch, room)

    def _branch(self, place: int) -> Branch:
        return self.maker.branch(place, answered=True)

    def _answer(self, prefixes: SharedPrefixes, places: list[list[int]]) -> dict[int, Answer]:
        """Answers to as many questions as are asked at once."""
        flat = [place for row in places for place in row]
        asked = prefixes.grow([[self._branch(place).prompt for place in row] for row in places])
        after = prefixes.log_probs([states[-1:] for states in asked])
        first = dict(zip(flat, after, strict=True))
        nlls = self._nlls(prefixes, places, first)
        texts = {}
        if self.numeric == "expected_score":
            for place in filter(self._is_number, flat):
                chances = first[place][0, self.bin_ids].softmax(-1)
                texts[place] = BIN_TEXTS[int((self.bin_scores @ chances).argmax())]
        texts |= self._generate(prefixes, places, first, set(flat) - texts.keys())
        return {
            place: Answer(str(self.maker.questions[place].id), texts[place], nlls[place])
            for place in flat
        }

    def _nlls(
        self,
        prefixes: SharedPrefixes,
        places: list[list[int]],
        first: dict[int, torch.Tensor],
    ) -> dict[int, float]:
        """Of the recorded answers; what branches took in for it they forget."""
        said = {p: self._branch(p).answer[: -self.closing] for row in places for p in row}
        chances = {p: [log_probs] for p, log_probs in first.items()}
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
        options = self.maker.questions[place].options
        return options is None or len(options) == 0

    def _generate(
        self,
        prefixes: SharedPrefixes,
        places: list[list[int]],
        first: dict[int, torch.Tensor],
        still: set[int],
    ) -> dict[int, str]:
        """Greedy answers; all branches that are still open take in a token at a time."""
        said: dict[int, list[int]] = {place: [] for place in still}
        after = {place: first[place] for place in still}
        while True:
            for place, log_probs in after.items():
                token = int(log_probs[-1].argmax())
                if token == self.tokens.end_of_turn:
                    still.discard(place)
                    continue
                said[place].append(token)
                if len(said[place]) == MAX_NEW_TOKENS:
                    still.discard(place)
            if not still:
                break
            states = prefixes.grow(
                [[said[p][-1:] if p in still else [] for p in r] for r in places]
            )
            grown = [p for row in places for p in row if p in still]
            after = dict(zip(grown, prefixes.log_probs(states), strict=True))
        decode = self.tokens.tokenizer.decode
        return {p: decode(ids, skip_special_tokens=True).strip() for p, ids in said.items()}
