"""One row of a batch: a clip's prefix once, its questions as branches, and the read-out tokens.

    [prefix: user turn with video][question 1, answer 1] .. [question k, answer k][camera .. scale]

A branch sees the prefix and itself only, with positions restarting after the prefix, so each
question's loss is what it would be alone. Camera and scale tokens stand at the end of the row;
where they logically belong is told by `order`, and who may see them by `segment`, so both layouts
are the same tokens under another mask: attention knows no order but the mask and the positions.

Shape suffixes: L tokens of the row, P tokens of the prefix, T time slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Layout = Literal["readout", "visible"]

IGNORE = -100
PAD_SEGMENT = -1
_PREFIX_SEGMENT = 0
_STEPS = 4  # room between two neighbours' orders for a camera and a scale token


@dataclass(frozen=True)
class Branch:
    """One question after the prefix: prompt tokens, then answer tokens (none when answering)."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Prefix:
    """The user's turn up to the last frame."""

    ids_P: np.ndarray
    positions_3P: np.ndarray
    visual_P: np.ndarray
    last_patch_T: np.ndarray
    next_position: int


@dataclass(frozen=True)
class Row:
    """A row before padding. Indices count from the row's first token."""

    ids_L: np.ndarray
    positions_3L: np.ndarray
    segment_L: np.ndarray
    order_L: np.ndarray
    predict_L: np.ndarray
    """Token to be predicted at each place (already shifted); IGNORE where none is."""
    visual: np.ndarray
    camera: np.ndarray
    scale: np.ndarray
    answer_at: np.ndarray
    """Per branch, the place whose logits give the next token after what the branch holds."""
    num_questions: int


class PromptTokens:
    """A processor's chat template and tokenizer, taken apart into prefix and branch."""

    def __init__(self, processor: Any) -> None:
        self.tokenizer = processor.tokenizer
        mark = "QUESTION-GOES-HERE"
        content = [{"type": "video"}, {"type": "text", "text": mark}]
        text: str = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        before, self.after_question = text.split(mark)
        # the stock processor of transformers 5.23 puts the frames in the place of the pad alone
        self.head, self.between = before.split("<|video_pad|>")
        self.video_pad: int = self.tokenizer.convert_tokens_to_ids("<|video_pad|>")
        self.end = "<|im_end|>\n"
        self.end_of_turn: int = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.pad: int = self.tokenizer.pad_token_id or 0

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, nothing added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def branch(self, prompt: str, answer: str | None) -> Branch:
        """A question's tokens; the answer ends with end-of-turn and a newline, as in chat."""
        asked = self.encode(self.between + prompt + self.after_question)
        told = self.encode(answer + self.end) if answer is not None else []
        return Branch(tuple(asked), tuple(told))

    def prefix(self, timestamps_T: Sequence[float], grid: tuple[int, int]) -> Prefix:
        """The prefix of a clip whose frames have `grid` merged tokens each.

        Tokens are those of the stock processor; positions are those of stock
        `get_rope_index`, computed for all tokens at once.
        """
        height, width = grid
        patches = "<|video_pad|>" * (height * width)
        text = self.head + "".join(
            f"<{time:.1f} seconds><|vision_start|>{patches}<|vision_end|>" for time in timestamps_T
        )
        ids_P = np.asarray(self.encode(text), dtype=np.int64)
        visual_P = ids_P == self.video_pad
        places = np.flatnonzero(visual_P)
        last_patch_T = places[height * width - 1 :: height * width]
        advance = np.where(visual_P, 0, 1)
        advance[last_patch_T] = max(height, width)
        ends = np.cumsum(advance)
        positions_3P = np.repeat((ends - advance)[None], 3, axis=0)
        inside = np.arange(len(places)) % (height * width)
        positions_3P[1, places] += inside // width
        positions_3P[2, places] += inside % width
        return Prefix(ids_P, positions_3P, visual_P, last_patch_T, int(ends[-1]))


def build_row(
    prefix: Prefix,
    branches: Sequence[Branch],
    *,
    pad: int,
    layout: Layout = "readout",
    camera: bool = False,
    scale: bool = False,
) -> Row:
    """Put a prefix and its branches into one row.

    Args:
        prefix: of the clip.
        branches: its questions.
        pad: id under the camera and scale tokens, whose embeddings are not the vocabulary's.
        layout: who sees the camera and scale tokens.
        camera: add a camera token for every time slot.
        scale: add a scale token after the last slot.
    """
    P = len(prefix.ids_P)
    parts = [_Part(prefix.ids_P, prefix.positions_3P, 0, np.arange(P) * _STEPS)]
    predicts = [np.full(P, IGNORE, dtype=np.int64)]
    answer_at = []
    place = P
    for number, branch in enumerate(branches, start=1):
        ids = np.asarray(branch.prompt + branch.answer, dtype=np.int64)
        n, asked = len(ids), len(branch.prompt)
        positions = np.repeat((prefix.next_position + np.arange(n))[None], 3, axis=0)
        parts.append(_Part(ids, positions, number, (P + np.arange(n)) * _STEPS))
        predict = np.full(n, IGNORE, dtype=np.int64)
        predict[asked - 1 : n - 1] = ids[asked:]
        predicts.append(predict)
        answer_at.append(place + n - 1)
        place += n
    owners = {
        "camera": prefix.last_patch_T if camera else prefix.last_patch_T[:0],
        "scale": prefix.last_patch_T[-1:] if scale else prefix.last_patch_T[:0],
    }
    places: dict[str, np.ndarray] = {}
    segment = len(branches) + 1
    for after, (name, owner) in enumerate(owners.items(), start=1):
        n = len(owner)
        # read-out: a segment of one's own, seen by nobody else; visible: part of the prefix
        segments = segment + np.arange(n) if layout == "readout" else 0
        positions = prefix.positions_3P[:, owner]
        parts.append(_Part(np.full(n, pad), positions, segments, owner * _STEPS + after))
        predicts.append(np.full(n, IGNORE, dtype=np.int64))
        places[name] = place + np.arange(n)
        place, segment = place + n, segment + n
    return Row(
        ids_L=np.concatenate([part.ids for part in parts]),
        positions_3L=np.concatenate([part.positions for part in parts], axis=1),
        segment_L=np.concatenate([np.full(len(p.ids), 0) + p.segment for p in parts]),
        order_L=np.concatenate([part.order for part in parts]),
        predict_L=np.concatenate(predicts),
        visual=np.flatnonzero(prefix.visual_P),
        camera=places["camera"],
        scale=places["scale"],
        answer_at=np.asarray(answer_at, dtype=np.int64),
        num_questions=len(branches),
    )


@dataclass(frozen=True)
class _Part:
    """Consecutive tokens of a row."""

    ids: np.ndarray
    positions: np.ndarray
    segment: int | np.ndarray
    order: np.ndarray
