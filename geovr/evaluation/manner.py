"""How the questions of a table are put: a protocol's words, and how answers are generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geovr.evaluation.protocol import Generation, Protocol

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Manner:
    """What a model is told, and how it may answer.

    Attributes:
        prompts: the words of each question, in the order of the table; None: the flow's own.
        question_first: they stand before the media.
        generation: greedy or sampling, and how long.
        seed: of sampling.
    """

    prompts: Sequence[str] | None = None
    question_first: bool = False
    generation: Generation = field(default_factory=Generation)
    seed: int = 0


def manner_of(
    protocol: Protocol, questions: pd.DataFrame, index: pd.DataFrame, seed: int
) -> Manner:
    """What a protocol makes of a table of questions.

    Args:
        protocol: whose words.
        questions: table (see artifacts.ClipSet).
        index: of the clips that they are about.
        seed: of sampling.
    """
    rates = {row.clip_id: sample_fps(row) for row in index.itertuples(index=False)}
    prompts = [
        protocol.render(row, rates[row.clip_id]) for row in questions.itertuples(index=False)
    ]
    first = protocol.media == "after"
    return Manner(tuple(prompts), first, protocol.generation, seed)


def sample_fps(row: Any) -> float:
    """Frames a second that a clip shows, of the rows of a ClipSet's index.

    STI-Bench tells the video's rate divided by the step between frames, which at a constant rate is
    this; of one frame it is the video's own rate, and only a video of one frame gives one.
    """
    times = row.timestamps
    if len(times) > 1 and times[-1] > times[0]:
        return float((len(times) - 1) / (times[-1] - times[0]))
    return float(len(times) / row.duration) if row.duration > 0 else 0.0
