"""A video file and a question, to an answer and the frames it was given on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geovr.asking.model import Answering
from geovr.data.decode_pool import DecodePool
from geovr.data.frames import FrameGeometry, resize_frames
from geovr.data.numbers import BIN_TEXTS
from geovr.data.objects import unseal
from geovr.data.prefix import PromptTokens
from geovr.data.prompts import prompt_text
from geovr.data.samples import ClipInput, Sample, make_batch
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig, VideoError
from geovr.errors import UserError
from geovr.evaluation.answer import MAX_NEW_TOKENS, Model, best_number
from geovr.evaluation.branching import SharedPrefixes


@dataclass(frozen=True)
class Reply:
    """What was said, and on what.

    Attributes:
        answer: the text.
        frames_THWC: uint8 RGB, as they came from the file.
        timestamps_T: of the frames, seconds.
        tokens: that the model read.
    """

    answer: str
    frames_THWC: np.ndarray
    timestamps_T: np.ndarray
    tokens: int


def watch(video: Path, sampler: SamplerConfig) -> tuple[np.ndarray, np.ndarray]:
    """Sampled frames (T, H, W, 3) and their times, decoded in a process with limits.

    Raises:
        UserError: naming the file when it is missing or no video.
    """
    if not video.is_file():
        raise UserError(f"{video}: no such video file")
    with DecodePool(sampler, LimitsConfig()) as pool:
        try:
            clip = unseal(pool.decode([video.absolute()], images=False))
        except VideoError as error:
            raise UserError(f"{video}: {error}; {error.remedy}") from None
    return clip["frames_THWC"], clip["timestamps_T"]


@torch.inference_mode()
def ask(
    model: Answering,
    video: Path,
    question: str,
    options: Sequence[str] = (),
    *,
    sampler: SamplerConfig | None = None,
    free: bool = False,
    most_tokens: int = MAX_NEW_TOKENS,
) -> Reply:
    """One answer, greedy.

    Args:
        model: that answers.
        video: a file.
        question: about it.
        options: to choose from, without letters; none for a number.
        sampler: which frames; those of the model's training when not given.
        free: put the question as it is, and take any text.
        most_tokens: of the answer.

    Raises:
        UserError: when the video can't be read.
    """
    frames, times = watch(video, sampler or model.sampler)
    loaded = Model(model.directory)
    prompt = PromptTokens(loaded.processor)
    geometry = FrameGeometry.of(loaded.processor, model.shown)
    clip = ClipInput("video", resize_frames(frames, geometry), times)
    batch = make_batch([Sample((clip,), ())], prompt, geometry).to(loaded.device)
    lettered = [f"{chr(ord('A') + place)}. {text}" for place, text in enumerate(options)]
    told = question if free else prompt_text(question, lettered or None)
    asked = list(prompt.branch(told, None).prompt)
    prefixes = SharedPrefixes(loaded.backbone, batch, len(asked) + most_tokens)
    (states,) = prefixes.grow([[asked]])
    (chances,) = prefixes.log_probs([states[-1:]])
    if model.binned and not options and not free:
        answer = best_number(chances[0][[prompt.encode(text)[0] for text in BIN_TEXTS]])
    else:
        said = _greedy(prefixes, loaded.ends | {prompt.end_of_turn}, chances, most_tokens)
        answer = prompt.tokenizer.decode(said, skip_special_tokens=True).strip()
    return Reply(answer, frames, times, batch.prefixes_R[0] + len(asked))


def _greedy(
    prefixes: SharedPrefixes, ends: set[int], chances: torch.Tensor, most: int
) -> list[int]:
    """Tokens up to one that ends an answer."""
    said: list[int] = []
    while len(said) < most:
        token = int(chances[-1].argmax())
        if token in ends:
            break
        said.append(token)
        if len(said) < most:
            (chances,) = prefixes.log_probs(prefixes.grow([[[token]]]))
    return said


def as_json(reply: Reply, model: Answering, written: Path | None) -> dict[str, Any]:
    """For machines."""
    return {
        "answer": reply.answer,
        "model": model.called,
        "frames": [round(float(t), 3) for t in reply.timestamps_T],
        "tokens": reply.tokens,
        "picture": None if written is None else str(written),
    }
