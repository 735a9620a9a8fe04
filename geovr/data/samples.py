"""Samples, media and questions about them, to the batch that a model reads.

Shape suffixes: T frames, S time slots, C colour channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from geovr.data.batch import Batch, Targets, collate
from geovr.data.frames import FrameGeometry, patchify
from geovr.data.prefix import Branch, Medium, MediumKind, PromptTokens
from geovr.data.rows import Layout, build_row


@dataclass(frozen=True)
class ClipInput:
    """A clip as the model sees it.

    Attributes:
        kind: video, or still images.
        frames_TCHW: uint8, at the model's size.
        timestamps_T: seconds.
        targets: of each frame; None when no teacher speaks about the clip.
    """

    kind: MediumKind
    frames_TCHW: torch.Tensor
    timestamps_T: np.ndarray
    targets: Targets | None = None


@dataclass(frozen=True)
class Sample:
    """Any number of clips, and questions about all of them together.

    Attributes:
        clips: what is shown.
        branches: the questions.
        asked: the one question that stands before the clips; its branch only closes the turn.
    """

    clips: tuple[ClipInput, ...]
    branches: tuple[Branch, ...]
    asked: str | None = None


def medium_of(
    kind: MediumKind, timestamps_T: np.ndarray, size: tuple[int, int], geometry: FrameGeometry
) -> Medium:
    """How the prompt shows a clip: a slot's time is the mean of its first and last frame's."""
    slots = geometry.slot_frames(kind, len(timestamps_T))
    times = (timestamps_T[slots[:, 0]] + timestamps_T[slots[:, -1]]) / 2
    return Medium(kind, geometry.token_grid(*size), tuple(times.tolist()))


def make_batch(
    samples: Sequence[Sample],
    tokens: PromptTokens,
    geometry: FrameGeometry,
    *,
    layout: Layout = "readout",
    camera: bool = False,
    scale: bool = False,
    packed: bool = True,
) -> Batch:
    """One row a sample. A slot that holds several frames has the targets of its first.

    Args:
        samples: one or more.
        tokens: of the model's processor.
        geometry: of the model's processor.
        layout: who sees the camera and scale tokens.
        camera: add camera tokens.
        scale: add scale tokens.
        packed: one sequence of all rows, never slower; False pads rows and writes the whole mask
            out, which is the plain form that tests compare with.
    """
    rows, patches, grids, targets = [], [], [], []
    for sample in samples:
        media = []
        for clip in sample.clips:
            T, _, H, W = clip.frames_TCHW.shape
            media.append(medium_of(clip.kind, clip.timestamps_T, (H, W), geometry))
            patches.append(patchify(clip.frames_TCHW, geometry, clip.kind))
            first = geometry.slot_frames(clip.kind, T)[:, 0]
            grids.append((len(first), H // geometry.patch, W // geometry.patch))
            targets.append(clip.targets.at(first) if clip.targets is not None else None)
        row = build_row(
            tokens.prefix(media, sample.asked),
            sample.branches,
            pad=tokens.pad,
            layout=layout,
            camera=camera,
            scale=scale,
        )
        rows.append(row)
    return collate(rows, patches, grids, targets, tokens.pad, packed=packed)
