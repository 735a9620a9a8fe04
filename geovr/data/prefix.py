"""The user's turn up to the question: media as tokens, with the positions of stock Qwen3-VL.

A sample shows any number of media, videos and still images, then asks. Everything up to the last
special token before the question is the prefix that questions share; no tokenizer merges text
across a special token, so prefix and question tokenize apart as they do together.

Shape suffixes: P tokens of the prefix, T time slots of a medium.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

MediumKind = Literal["video", "images"]

_MARK = "QUESTION-GOES-HERE"
_SPECIAL = re.compile(r"<\|[^|]+\|>")
_PADS = {"video": "<|video_pad|>", "image": "<|image_pad|>"}


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
    """A chat template taken apart: text between the pads, then before and after the question."""

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
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    @functools.lru_cache(maxsize=256)  # noqa: B019 - as many entries as shapes of samples
    def _template(self, kinds: tuple[str, ...]) -> _Template:
        content = [{"type": kind} for kind in kinds] + [{"type": "text", "text": _MARK}]
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        before, after = text.split(_MARK)
        shared = max((match.end() for match in _SPECIAL.finditer(before)), default=0)
        pieces = tuple(re.split("|".join(map(re.escape, _PADS.values())), before[:shared]))
        if len(pieces) != len(kinds) + 1:
            raise ValueError(
                f"the chat template shows {len(pieces) - 1} of {len(kinds)} images and videos"
            )
        return _Template(pieces, before[shared:], after)

    def branch(self, prompt: str, answer: str | None, *, media: bool = True) -> Branch:
        """A question's tokens; the answer ends with end-of-turn and a newline, as in chat.

        Args:
            prompt: the user's words.
            answer: the assistant's; None when the model is to answer.
            media: whether the sample shows any.
        """
        template = self._template(("video",) if media else ())
        asked = self.encode(template.lead + prompt + template.after)
        told = self.encode(answer + self.end) if answer is not None else []
        return Branch(tuple(asked), tuple(told))

    def _text(self, media: Sequence[Medium], per_slot: int | None) -> str:
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
        pieces = self._template(tuple(kinds)).pieces
        return "".join(a + b for a, b in zip(pieces, [*shown, ""], strict=True))

    def prefix_length(self, media: Sequence[Medium]) -> int:
        """Tokens of the prefix, without making them."""
        patches = sum(len(m.timestamps_T) * (m.grid[0] * m.grid[1] - 1) for m in media)
        return len(self.encode(self._text(media, per_slot=1))) + patches

    def prefix(self, media: Sequence[Medium]) -> Prefix:
        """The prefix of a sample that shows `media`, in their order; none for text alone.

        Tokens are those of the stock processor; positions are those of stock
        `get_rope_index`, computed for all tokens at once.
        """
        ids_P = np.asarray(self.encode(self._text(media, per_slot=None)), dtype=np.int64)
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
