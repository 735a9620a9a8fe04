"""The one bundle of tensors that a model reads, and how rows become one.

A row may show any number of clips, none too; clips are counted over all rows, in their order.
Rows are padded to one length (B = rows), or stand one after the other in a single sequence without
padding (`packed`, B = 1), which scales to long rows (model/attention.py).

Shape suffixes: B sequences, L tokens of a sequence, R rows, I clips of all rows, V visual tokens
of all rows, N camera tokens, S scale tokens, M places with a label, P patches of all rows, E values
of a patch. Indices point into the flattened (B * L) tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from geovr.data.rows import IGNORE, PAD_SEGMENT, Row


@dataclass(frozen=True)
class Targets:
    """A clip's targets as tensors, on the frames of its slots (see data/targets.py)."""

    pose_encoding_TK: torch.Tensor
    depth_THW: torch.Tensor
    metric_scale: torch.Tensor
    metric_scale_valid: bool
    features_NTHWC: torch.Tensor
    moving: bool

    def at(self, frames: np.ndarray) -> Targets:
        """The targets of some frames, of which the first is the clip's first: it is the world."""
        if len(frames) == len(self.depth_THW):
            return self
        chosen = torch.from_numpy(frames)
        return replace(
            self,
            pose_encoding_TK=self.pose_encoding_TK[chosen],
            depth_THW=self.depth_THW[chosen],
            features_NTHWC=self.features_NTHWC[:, chosen],
        )

    def to(self, device: torch.device) -> Targets:
        """Tensors on a device."""
        return replace(
            self,
            pose_encoding_TK=self.pose_encoding_TK.to(device),
            depth_THW=self.depth_THW.to(device),
            metric_scale=self.metric_scale.to(device),
            features_NTHWC=self.features_NTHWC.to(device),
        )


@dataclass(frozen=True)
class Batch:
    """Rows as sequences. `targets` holds None for clips without targets."""

    packed: bool
    input_ids_BL: torch.Tensor
    position_ids_3BL: torch.Tensor
    segment_BL: torch.Tensor
    order_BL: torch.Tensor
    starts_R: tuple[int, ...]
    """Each row's first token in the flattened tokens."""
    lengths_R: tuple[int, ...]
    prefixes_R: tuple[int, ...]
    """Tokens of each row's causal prefix."""
    next_R: tuple[int, ...]
    """Position of the first token of each row's branches."""
    questions_R: torch.Tensor
    patches_PE: torch.Tensor
    grid_I3: torch.Tensor
    """Patches per clip: time slots, down, across (before merging)."""
    row_I: torch.Tensor
    """The row that shows the clip."""
    visual_V: torch.Tensor
    camera_N: torch.Tensor
    camera_first_N: torch.Tensor
    """True for the first slot of a clip, whose token differs from the others'."""
    camera_slots_I: torch.Tensor
    """Camera tokens of each clip: one a slot, or none."""
    scale_S: torch.Tensor
    scaled_I: torch.Tensor
    """Whether the clip has a scale token."""
    label_at_M: torch.Tensor
    label_M: torch.Tensor
    answer_at: torch.Tensor
    targets: tuple[Targets | None, ...]

    def __post_init__(self) -> None:
        if self.input_ids_BL.shape[0] != (1 if self.packed else len(self.questions_R)):
            raise ValueError("batch: sequences and question counts differ in rows")
        if not len(self.grid_I3) == len(self.row_I) == len(self.targets):
            raise ValueError("batch: grids, rows of clips and targets differ in clips")
        if int(self.grid_I3.prod(-1).sum()) != self.patches_PE.shape[0]:
            raise ValueError("batch: the grids don't add up to the patches")

    def weights(self) -> list[float]:
        """How often each clip counts: a packed row stands for as many samples as questions."""
        return [float(value) for value in self.questions_R[self.row_I].tolist()]

    def counts(self) -> dict[str, float]:
        """Per loss term, the samples (weighted by their questions) or labels that it sums over."""
        counts = {"text": float(len(self.label_M))} | dict.fromkeys(
            ("camera", "depth", "scale", "features"), 0.0
        )
        clips = zip(
            self.weights(),
            self.targets,
            self.camera_slots_I.tolist(),
            self.scaled_I.tolist(),
            strict=True,
        )
        for weight, target, slots, scaled in clips:
            if target is None:
                continue
            counts["depth"] += weight
            counts["features"] += weight
            counts["camera"] += weight * (slots > 0 and target.moving)
            counts["scale"] += weight * (scaled and target.metric_scale_valid)
        return counts

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        moved = {
            field.name: getattr(self, field.name).to(device)
            for field in fields(self)
            if isinstance(getattr(self, field.name), torch.Tensor)
        }
        targets = tuple(None if item is None else item.to(device) for item in self.targets)
        return replace(self, **moved, targets=targets)

    def attention_mask(self) -> torch.Tensor:
        """Who sees whom, bool (B, 1, L, L): earlier tokens of the prefix and of one's segment."""
        if self.packed:
            raise ValueError("batch: rows of a packed batch have no common mask; use tail_mask")
        earlier = self.order_BL[:, None, :] <= self.order_BL[:, :, None]
        key, query = self.segment_BL[:, None, :], self.segment_BL[:, :, None]
        seen = earlier & ((key == 0) | (key == query))
        # padding sees itself: a row of nothing would be NaN in some kernels
        eye = torch.eye(seen.shape[-1], dtype=torch.bool, device=seen.device)
        return (seen | eye)[:, None]

    def tail_mask(self, row: int) -> torch.Tensor:
        """What the tokens behind a row's prefix see of the row, bool (Q, L of the row)."""
        start, length, prefix = (x[row] for x in (self.starts_R, self.lengths_R, self.prefixes_R))
        order = self.order_BL.reshape(-1)[start : start + length]
        segment = self.segment_BL.reshape(-1)[start : start + length]
        earlier = order[None, :] <= order[prefix:, None]
        return earlier & ((segment == 0)[None, :] | (segment[None, :] == segment[prefix:, None]))


def collate(
    rows: Sequence[Row],
    patches: Sequence[torch.Tensor],
    grids: Sequence[tuple[int, int, int]],
    targets: Sequence[Targets | None],
    pad: int,
    *,
    packed: bool = False,
) -> Batch:
    """Put rows into sequences and gather their indices.

    Args:
        rows: one or more.
        patches: of each clip, in the order in which rows show them.
        grids: of each clip.
        targets: of each clip.
        pad: token id of padding.
        packed: one sequence of all rows, instead of one padded sequence a row.
    """
    lengths = [len(row.ids_L) for row in rows]
    room = lengths if packed else [max(lengths)] * len(rows)
    starts = [sum(room[:r]) for r in range(len(rows))]
    shape = (1, sum(room)) if packed else (len(rows), room[0])
    ids = np.full(sum(room), pad, dtype=np.int64)
    positions = np.zeros((3, sum(room)), dtype=np.int64)
    segment = np.full(sum(room), PAD_SEGMENT, dtype=np.int64)
    order = np.zeros(sum(room), dtype=np.int64)
    predict = np.full(sum(room), IGNORE, dtype=np.int64)
    for start, row in zip(starts, rows, strict=True):
        own = slice(start, start + len(row.ids_L))
        ids[own], positions[:, own] = row.ids_L, row.positions_3L
        segment[own], order[own], predict[own] = row.segment_L, row.order_L, row.predict_L

    def flat(name: str) -> torch.Tensor:
        parts = [start + getattr(row, name) for start, row in zip(starts, rows, strict=True)]
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))

    label_at = np.flatnonzero(predict != IGNORE)
    slots = [n for row in rows for n in row.camera_slots]
    first = [np.arange(n) == 0 for n in slots]
    return Batch(
        packed=packed,
        input_ids_BL=torch.from_numpy(ids).view(shape),
        position_ids_3BL=torch.from_numpy(positions).view(3, *shape),
        segment_BL=torch.from_numpy(segment).view(shape),
        order_BL=torch.from_numpy(order).view(shape),
        starts_R=tuple(starts),
        lengths_R=tuple(lengths),
        prefixes_R=tuple(row.prefix_length for row in rows),
        next_R=tuple(row.next_position for row in rows),
        questions_R=torch.tensor([row.num_questions for row in rows], dtype=torch.int64),
        patches_PE=torch.cat(list(patches)) if patches else torch.empty(0, 0),
        grid_I3=torch.tensor(grids, dtype=torch.int64).view(-1, 3),
        row_I=torch.tensor(
            [r for r, row in enumerate(rows) for _ in row.camera_slots], dtype=torch.int64
        ),
        visual_V=flat("visual"),
        camera_N=flat("camera"),
        camera_first_N=torch.from_numpy(np.concatenate([np.empty(0, dtype=bool), *first])),
        camera_slots_I=torch.tensor(slots, dtype=torch.int64),
        scale_S=flat("scale"),
        scaled_I=torch.tensor([s for row in rows for s in row.scaled], dtype=torch.bool),
        label_at_M=torch.from_numpy(label_at),
        label_M=torch.from_numpy(predict[label_at]),
        answer_at=flat("answer_at"),
        targets=tuple(targets),
    )
