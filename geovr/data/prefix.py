"""The user's turn up to the question: media as tokens, with the positions of stock Qwen3-VL.

A sample shows any number of media, videos and still images, then asks. Everything up to the last
special token before the question is the prefix that questions share; no tokenizer merges text
across a special token, so prefix and question tokenize apart as they do together.

A question may also stand before its media, as some benchmarks have it. Its prefix is then its own,
the question and the media up to the last one's end, and its branch only closes the turn.

Shape suffixes: P tokens of the prefix, T time slots of a medium.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from geovr.errors import UserError

MediumKind = Literal["video", "images"]

_MARK = "QUESTION-GOES-HERE"
_SPECIAL = re.compile(r"<\|[^|]+\|>")
_PADS = {"video": "<|video_pad|>", "image": "<|image_pad|>"}
_ANY_PAD = "|".join(map(re.escape, _PADS.values()))


@dataclass(frozen=True)
class Medium:
    """A video, or the still images of one clip."""

    kind: MediumKind
    grid: tuple[int, int]
    """Merged tokens of one slot, down and across."""
    timestamps_T: tuple[float, ...]
    """Seconds of each slot; of images only their number counts."""


@dataclass(frozen=True)
class Branch:
    """One question after the prefix: prompt tokens, then answer tokens (none when answering)."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Prefix:
    """Tokens that all questions about the same media share."""

    ids_P: np.ndarray
    positions_3P: np.ndarray
    visual_P: np.ndarray
    kinds: tuple[MediumKind, ...]
    last_patch: tuple[np.ndarray, ...]
    """Per medium, the place of each slot's last patch."""
    next_position: int


@dataclass(frozen=True)
class _Template:
    """A chat template taken apart: text between the pads, then before and after the question.

    With the question first, it stands in the first piece, and only what comes after is left.
    """

    pieces: tuple[str, ...]
    lead: str
    after: str


class PromptTokens:
    """A processor's chat template and tokenizer, taken apart into prefix and branch."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        ids = self.tokenizer.convert_tokens_to_ids
        self.video_pad: int = ids(_PADS["video"])
        self.image_pad: int = ids(_PADS["image"])
        self.end = "<|im_end|>\n"
        self.end_of_turn: int = ids("<|im_end|>")
        self.pad: int = self.tokenizer.pad_token_id or 0

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, nothing added."""
        return list(self._ids(text))

    @functools.lru_cache(maxsize=1 << 14)  # noqa: B019 - questions recur: few wordings, many clips
    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    @functools.lru_cache(maxsize=256)  # noqa: B019 - as many entries as shapes of samples
    def _template(self, kinds: tuple[str, ...], question_first: bool = False) -> _Template:
        shown = [{"type": kind} for kind in kinds]
        asked = [{"type": "text", "text": _MARK}]
        content = asked + shown if question_first else shown + asked
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        if question_first:
            *between, rest = re.split(_ANY_PAD, text)
            closed = _SPECIAL.match(rest)
            end = closed.end() if closed else 0
            return self._checked(_Template((*between, rest[:end]), "", rest[end:]), kinds)
        before, after = text.split(_MARK)
        shared = max((match.end() for match in _SPECIAL.finditer(before)), default=0)
        pieces = tuple(re.split(_ANY_PAD, before[:shared]))
        return self._checked(_Template(pieces, before[shared:], after), kinds)

    def _checked(self, template: _Template, kinds: tuple[str, ...]) -> _Template:
        found = len(template.pieces) - 1
        if found != len(kinds):
            raise ValueError(f"the chat template shows {found} of {len(kinds)} images and videos")
        return template

    def branch(
        self,
        prompt: str,
        answer: str | None,
        *,
        media: bool = True,
        question_first: bool = False,
    ) -> Branch:
        """A question's tokens; the answer ends with end-of-turn and a newline, as in chat.

        Args:
            prompt: the user's words.
            answer: the assistant's; None when the model is to answer.
            media: whether the sample shows any.
            question_first: the prompt is in the prefix already.
        """
        template = self._template(("video",) if media else (), question_first)
        text = template.after if question_first else template.lead + prompt + template.after
        asked = self.encode(text)
        told = self.encode(answer + self.end) if answer is not None else []
        return Branch(tuple(asked), tuple(told))

    def _text(self, media: Sequence[Medium], per_slot: int | None, asked: str | None) -> str:
        """The prefix as text, with every pad of a slot, or with `per_slot` of them."""
        kinds = [
            kind
            for medium in media
            for kind in (
                ["image"] * len(medium.timestamps_T) if medium.kind == "images" else ["video"]
            )
        ]
        shown = []
        for medium in media:
            pads = medium.grid[0] * medium.grid[1] if per_slot is None else per_slot
            if medium.kind == "images":
                shown += [_PADS["image"] * pads] * len(medium.timestamps_T)
                continue
            # the stock processor of transformers 5.23 puts the frames in the place of the pad
            # alone, so the template's own vision markers stay around them
            slots = [
                f"<{time:.1f} seconds><|vision_start|>{_PADS['video'] * pads}<|vision_end|>"
                for time in medium.timestamps_T
            ]
            shown.append("".join(slots))
        pieces = list(self._template(tuple(kinds), asked is not None).pieces)
        if asked is not None:
            if re.search(_ANY_PAD, asked):
                raise UserError(f"a question holds a token of images or videos: {asked[:80]!r}")
            pieces[0] = pieces[0].replace(_MARK, asked)
        return "".join(a + b for a, b in zip(pieces, [*shown, ""], strict=True))

    def prefix_length(self, media: Sequence[Medium], asked: str | None = None) -> int:
        """Tokens of the prefix, without making them."""
        patches = sum(len(m.timestamps_T) * (m.grid[0] * m.grid[1] - 1) for m in media)
        return len(self.encode(self._text(media, 1, asked))) + patches

    def prefix(self, media: Sequence[Medium], asked: str | None = None) -> Prefix:
        """The prefix of a sample that shows `media`, in their order; none for text alone.

        Tokens are those of the stock processor; positions are those of stock
        `get_rope_index`, computed for all tokens at once.

        Args:
            media: what is shown.
            asked: the question that stands before them; None where questions come behind.

        Raises:
            UserError: for a question that holds a token of media itself.
        """
        ids_P = np.asarray(self.encode(self._text(media, None, asked)), dtype=np.int64)
        visual_P = (ids_P == self.video_pad) | (ids_P == self.image_pad)
        runs = [medium.grid for medium in media for _ in medium.timestamps_T]
        height = np.asarray([run[0] for run in runs], dtype=np.int64)
        width = np.asarray([run[1] for run in runs], dtype=np.int64)
        sizes = height * width
        places = np.flatnonzero(visual_P)
        ends = np.cumsum(sizes)
        last = places[ends - 1] if len(runs) else places
        advance = np.where(visual_P, 0, 1)
        advance[last] = np.maximum(height, width)
        after = np.cumsum(advance)
        positions_3P = np.repeat((after - advance)[None], 3, axis=0)
        inside = np.arange(len(places)) - np.repeat(ends - sizes, sizes)
        across = np.repeat(width, sizes)
        positions_3P[1, places] += inside // across
        positions_3P[2, places] += inside % across
        borders = np.cumsum([len(medium.timestamps_T) for medium in media])[:-1]
        return Prefix(
            ids_P=ids_P,
            positions_3P=positions_3P,
            visual_P=visual_P,
            kinds=tuple(medium.kind for medium in media),
            last_patch=tuple(np.split(last, borders)) if media else (),
            next_position=int(after[-1]) if len(after) else 0,
        )
