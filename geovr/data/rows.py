"""One row of a batch: a prefix once, its questions as branches, and the read-out tokens.

    [prefix: user turn with media][question 1, answer 1] .. [question k, answer k][camera .. scale]

A branch sees the prefix and itself only, with positions restarting after the prefix, so each
question's loss is what it would be alone. In the `readout` layout camera and scale tokens stand at
the end of the row, hidden from all others; `order` tells where they belong and so what they see.
In the `visible` layout they stand in the prefix, each after its slot's last patch, as in the paper.
Either way the prefix is causal, and only the rest of the row needs a mask.

A video has a camera token for every time slot and one scale token. Still images have neither:
nothing moves between them (docs/decisions/0012-media.md).

Shape suffixes: L tokens of the row, P tokens of the prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from geovr.data.prefix import Branch, Prefix

Layout = Literal["readout", "visible"]

IGNORE = -100
PAD_SEGMENT = -1
_PREFIX_SEGMENT = 0
_STEPS = 4  # room between two neighbours' orders for a camera and a scale token


@dataclass(frozen=True)
class Row:
    """A row before padding. Indices count from the row's first token."""

    ids_L: np.ndarray
    positions_3L: np.ndarray
    segment_L: np.ndarray
    order_L: np.ndarray
    predict_L: np.ndarray
    """Token to be predicted at each place (already shifted); IGNORE where none is."""
    prefix_length: int
    """Tokens at the row's start that are causal among themselves and see nothing else."""
    visual: np.ndarray
    camera: np.ndarray
    camera_slots: tuple[int, ...]
    """Camera tokens of each medium."""
    scale: np.ndarray
    scaled: tuple[bool, ...]
    """Per medium, whether it has a scale token."""
    answer_at: np.ndarray
    """Per branch, the place whose logits give the next token after what the branch holds."""
    num_questions: int
    next_position: int
    """Of the first token of a branch."""


@dataclass(frozen=True)
class _Part:
    """Consecutive tokens of a row."""

    ids: np.ndarray
    positions: np.ndarray
    segment: int | np.ndarray
    order: np.ndarray


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
        prefix: of the sample.
        branches: its questions.
        pad: id under the camera and scale tokens, whose embeddings are not the vocabulary's.
        layout: who sees the camera and scale tokens.
        camera: add a camera token for every time slot of a video.
        scale: add a scale token after the last slot of a video.
    """
    P = len(prefix.ids_P)
    parts = [_Part(prefix.ids_P, prefix.positions_3P, _PREFIX_SEGMENT, np.arange(P) * _STEPS)]
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
    video = [kind == "video" for kind in prefix.kinds]
    slots = [
        last if v and camera else last[:0] for v, last in zip(video, prefix.last_patch, strict=True)
    ]
    ends = [
        last[-1:] if v and scale else last[:0]
        for v, last in zip(video, prefix.last_patch, strict=True)
    ]
    nothing = [np.empty(0, dtype=np.int64)]
    owners = {
        "camera": np.concatenate(nothing + slots),
        "scale": np.concatenate(nothing + ends),
    }
    places: dict[str, np.ndarray] = {}
    segment = len(branches) + 1
    for after, (name, owner) in enumerate(owners.items(), start=1):
        n = len(owner)
        # read-out: a segment of one's own, seen by nobody else; visible: part of the prefix
        segments = segment + np.arange(n) if layout == "readout" else _PREFIX_SEGMENT
        positions = prefix.positions_3P[:, owner]
        parts.append(_Part(np.full(n, pad), positions, segments, owner * _STEPS + after))
        predicts.append(np.full(n, IGNORE, dtype=np.int64))
        places[name] = place + np.arange(n)
        place, segment = place + n, segment + n
    segment_L = np.concatenate([np.full(len(p.ids), 0) + p.segment for p in parts])
    order_L = np.concatenate([part.order for part in parts])
    # the prefix first and in its order; everything else stays where it is
    in_prefix = segment_L == _PREFIX_SEGMENT
    sequence = np.argsort(np.where(in_prefix, order_L, order_L.max() + 1), kind="stable")
    moved = np.argsort(sequence)
    return Row(
        ids_L=np.concatenate([part.ids for part in parts])[sequence],
        positions_3L=np.concatenate([part.positions for part in parts], axis=1)[:, sequence],
        segment_L=segment_L[sequence],
        order_L=order_L[sequence],
        predict_L=np.concatenate(predicts)[sequence],
        prefix_length=int(in_prefix.sum()),
        visual=moved[np.flatnonzero(prefix.visual_P)],
        camera=moved[places["camera"]],
        camera_slots=tuple(len(part) for part in slots),
        scale=moved[places["scale"]],
        scaled=tuple(len(part) > 0 for part in ends),
        answer_at=moved[np.asarray(answer_at, dtype=np.int64)],
        num_questions=len(branches),
        next_position=prefix.next_position,
    )
