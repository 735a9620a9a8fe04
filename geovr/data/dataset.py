"""From a ClipSet and a TargetSet to batches.

A row of a batch is one clip with up to k of its questions (see data/rows.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from geovr.artifacts import ClipSet, TargetSet
from geovr.data.batch import Batch, Targets
from geovr.data.clips import read_clip
from geovr.data.frames import FrameGeometry, resize_frames
from geovr.data.input import InputConfig
from geovr.data.order import RowSpec, shuffled_order
from geovr.data.prefix import Branch, MediumKind, PromptTokens
from geovr.data.prompts import NumericAnswers, answer_text, prompt_text
from geovr.data.rows import Layout
from geovr.data.samples import ClipInput, Sample, make_batch
from geovr.data.table import Rows, RowsByClip
from geovr.data.targets import read_targets
from geovr.object_cache import ObjectCache
from geovr.storage import Store

if TYPE_CHECKING:
    import pandas as pd

View = Literal["video", "blank", "shuffled"]

_MOST_BRANCHES = 100_000
"""Tokenised questions that are kept; more would cost memory that the frames need."""


class BatchMaker:
    """Reads clips, questions and targets, and makes batches of them.

    Args:
        clips: the clips and questions.
        targets: what a teacher says about them; None where no geometry is learnt.
        processor: of the model.
        questions: table to which RowSpec.questions points.
        numeric: how numeric answers are written.
        shown: how clips are put before the model.
        kept_frames: clip -> places of the frames that are shown, where not all are.
        layout: of camera and scale tokens.
        camera: add camera tokens.
        scale: add scale tokens.
        view: what is shown: the video, black frames, or its frames in a random order (baselines).
        cache_mb: how much of the read clips and targets is kept in memory.
        disk: keeps what is read from a distant store.
        prompts: the user's words for each question of the table; None: the flow's own.
        question_first: the words stand before the clip, so that no two questions share a prefix.
    """

    def __init__(
        self,
        clips: ClipSet,
        targets: TargetSet | None,
        processor: Any,
        questions: pd.DataFrame,
        *,
        numeric: NumericAnswers,
        shown: InputConfig | None = None,
        kept_frames: Mapping[str, np.ndarray] | None = None,
        layout: Layout = "readout",
        camera: bool = False,
        scale: bool = False,
        view: View = "video",
        cache_mb: int = 1024,
        disk: ObjectCache | None = None,
        prompts: Sequence[str] | None = None,
        question_first: bool = False,
    ) -> None:
        self.clip_store, self.view = _kept(clips.store, disk), view
        self.clip_rows = RowsByClip(clips.index)
        self.target_store = _kept(targets.store, disk) if targets is not None else None
        self.target_rows = RowsByClip(targets.index) if targets is not None else None
        self.tokens = PromptTokens(processor)
        self.geometry = FrameGeometry.of(processor, shown)
        self.kept_frames = kept_frames or {}
        self.questions = Rows(questions, ("id", "question", "options", "answer"))
        self.numeric = numeric
        self.prompts, self.question_first = prompts, question_first
        self.layout, self.camera, self.scale = layout, camera, scale
        self._cache: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._cache_bytes = self._cache_left = cache_mb << 20
        self._branches: dict[tuple[int, bool], Branch] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For another process: what is read so far stays here."""
        empty = {"_cache": OrderedDict(), "_cache_left": self._cache_bytes, "_branches": {}}
        return self.__dict__ | empty

    def frames(self, clip_id: str) -> tuple[torch.Tensor, np.ndarray]:
        """A clip's frames at the model's size, uint8 (T, C, H, W), and their times in seconds."""

        def read() -> tuple[tuple[torch.Tensor, np.ndarray], int]:
            row = self.clip_rows[clip_id]
            clip = read_clip(self.clip_store, row)
            chosen = self.kept_frames.get(clip_id, np.arange(len(clip.timestamps_T)))
            frames = resize_frames(clip.frames_THWC[chosen], self.geometry, medium_kind(row))
            if self.view == "blank":
                frames = torch.zeros_like(frames)
            elif self.view == "shuffled":
                frames = frames[torch.from_numpy(shuffled_order(clip_id, len(frames)))]
            return (frames, clip.timestamps_T[chosen]), frames.numel()

        value: tuple[torch.Tensor, np.ndarray] = self._cached(("frames", clip_id), read)
        return value

    def targets(self, clip_id: str) -> Targets | None:
        """A clip's targets, None when the teacher has none."""
        store, rows = self.target_store, self.target_rows
        if store is None or rows is None or clip_id not in rows:
            return None

        def read() -> tuple[Targets, int]:
            found = read_targets(store, rows[clip_id])
            targets = Targets(
                pose_encoding_TK=torch.from_numpy(found.pose_encoding_TK.astype(np.float32)),
                depth_THW=torch.from_numpy(found.depth_THW.astype(np.float32)),
                metric_scale=torch.tensor(found.metric_scale, dtype=torch.float32),
                metric_scale_valid=found.metric_scale_valid,
                features_NTHWC=torch.from_numpy(found.features_NTHWC.astype(np.float32)),
                moving=bool(self.clip_rows[clip_id].moving),
            )
            if clip_id in self.kept_frames:
                targets = targets.at(self.kept_frames[clip_id])
            size = 4 * (targets.depth_THW.numel() + targets.features_NTHWC.numel())
            return targets, size

        value: Targets = self._cached(("targets", clip_id), read)
        return value

    def branch(self, place: int, *, answered: bool) -> Branch:
        """A question's tokens, with its answer or up to it."""
        key = (place, answered)
        if key not in self._branches:
            if len(self._branches) >= _MOST_BRANCHES:
                self._branches.clear()
            self._branches[key] = self.make_branch(place, answered=answered)
        return self._branches[key]

    def make_branch(self, place: int, *, answered: bool) -> Branch:
        """As `branch`, without keeping it."""
        asked = self.questions[place]
        told = answer_text(asked.answer, asked.options, self.numeric) if answered else None
        return self.tokens.branch(self.prompt(place), told, question_first=self.question_first)

    def prompt(self, place: int) -> str:
        """The user's words for a question."""
        if self.prompts is not None:
            return self.prompts[place]
        asked = self.questions[place]
        return prompt_text(asked.question, asked.options)

    def branch_length(self, place: int) -> int:
        """Tokens that a question and its answer add to what is shown."""
        branch = self.make_branch(place, answered=True)
        # before the clip, what stands around it may merge with a token of the question
        own = len(self.tokens.encode(self.prompt(place))) if self.question_first else 0
        return own + len(branch.prompt) + len(branch.answer)

    def batch(self, specs: Sequence[RowSpec]) -> Batch:
        """The batch for training on these rows."""
        branches = [[self.branch(q, answered=True) for q in spec.questions] for spec in specs]
        return self.batch_of([spec.clip_id for spec in specs], branches)

    def batch_of(
        self,
        clip_ids: Sequence[str],
        branches: Sequence[Sequence[Branch]],
        asked: Sequence[int] | None = None,
    ) -> Batch:
        """The batch of some clips with given branches.

        Args:
            clip_ids: of each row.
            branches: of each row.
            asked: of each row the place of the question that stands before the clip.
        """
        samples = []
        first = [None] * len(clip_ids) if asked is None else list(map(self.prompt, asked))
        for clip_id, row_branches, words in zip(clip_ids, branches, first, strict=True):
            frames, times = self.frames(clip_id)
            kind = medium_kind(self.clip_rows[clip_id])
            clip = ClipInput(kind, frames, times, self.targets(clip_id))
            samples.append(Sample((clip,), tuple(row_branches), words))
        return make_batch(
            samples,
            self.tokens,
            self.geometry,
            layout=self.layout,
            camera=self.camera,
            scale=self.scale,
        )

    def _cached(self, key: tuple[str, str], read: Any) -> Any:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key][0]
        value, size = read()
        self._cache[key] = (value, size)
        self._cache_left -= size
        while self._cache_left < 0 and len(self._cache) > 1:
            _, (_, freed) = self._cache.popitem(last=False)
            self._cache_left += freed
        return value


def _kept(store: Store, disk: ObjectCache | None) -> Store:
    return store if disk is None else store.cached(disk)


def medium_kind(row: Any) -> MediumKind:
    """How the prompt shows the clip of an index row."""
    return "video" if row.kind == "video" else "images"
