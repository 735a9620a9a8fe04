"""A benchmark put to a checkpoint: which questions, how, and the answers kept in the store.

Answers lie raw under evaluation/<key>, where <key> says who was asked what and how: whoever asks
for them again finds them, and scoring reads them from there.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from geovr.artifacts import Checkpoint, ClipSet
from geovr.config import Config, canonical_json, digest
from geovr.data.input import InputConfig
from geovr.errors import UserError
from geovr.evaluation.predictions import predictions_key
from geovr.storage import Store, sha256_bytes

if TYPE_CHECKING:
    import pandas as pd

    from geovr.data.dataset import View
    from geovr.evaluation.answer import NumericDecoding

log = logging.getLogger("geovr")


class AskConfig(Config):
    """Which questions are asked, and how."""

    split: str = Field("test", description="Split of the questions that are the benchmark.")
    numeric: Literal["auto", "greedy", "expected_score"] = Field(
        "auto",
        description="expected_score: the one-token number of highest expected score; auto: that"
        " for models trained on binned numbers, else greedy.",
    )
    input: InputConfig | None = Field(
        None, description="How clips are put before the model; null: as in training, any length."
    )
    blanked: bool = Field(True, description="Ask again with the video blanked, as a baseline.")
    shuffled: bool = Field(
        True, description="Ask again with the frames in a random order, as a baseline."
    )
    batch_rows: int = Field(16, gt=0, description="Clips in one forward pass.")


@dataclass(frozen=True)
class Plan:
    """Questions for one checkpoint.

    Attributes:
        test: table of the questions, with scene and digests of their clips.
        numeric: how numbers are decoded.
        shown: how clips are put before the model.
        views: what is shown of them.
        batch_rows: clips in a forward pass.
        benchmark_digest: of questions, answers and videos; the same for every model.
        key: of the answers.
    """

    test: pd.DataFrame
    numeric: NumericDecoding
    shown: InputConfig
    views: tuple[View, ...]
    batch_rows: int
    benchmark_digest: str
    key: str


def plan(config: AskConfig, clips: ClipSet, checkpoint: Checkpoint) -> Plan:
    """What to ask a checkpoint.

    Raises:
        UserError: when the split has no question.
    """
    test = clips.questions[clips.questions["split"] == config.split].reset_index(drop=True)
    if test.empty:
        raise UserError(
            f"evaluate.split: no question belongs to {config.split!r}; the ClipSet's splits are"
            f" {sorted(set(clips.questions['split']))}"
        )
    known = ["clip_id", "scene", "video_sha256", "object_sha256"]
    test = test.merge(clips.index[known], on="clip_id", how="left")
    numeric, shown = _decoding(config, checkpoint), _shown(config, checkpoint)
    benchmark = digest(
        test[["id", "clip_id", "kind", "question", "answer", "video_sha256"]].to_dict("records")
    )
    key = digest(
        {
            "checkpoint": checkpoint.digest,
            "benchmark": benchmark,
            # the benchmark is one and the same whichever frames of its videos are shown
            "frames": sorted(set(test["object_sha256"])),
            "input": shown.model_dump(mode="json"),
            "numeric": numeric,
            "blanked": config.blanked,
            "shuffled": config.shuffled,
            "batch_rows": config.batch_rows,
        }
    )[:24]
    views: list[View] = ["video"]
    views += ["blank"] if config.blanked else []
    views += ["shuffled"] if config.shuffled else []
    return Plan(test, numeric, shown, tuple(views), config.batch_rows, benchmark, key)


def _decoding(config: AskConfig, checkpoint: Checkpoint) -> NumericDecoding:
    if config.numeric == "auto":
        binned = checkpoint.manifest.details.get("numeric_answers") == "binned"
        return "expected_score" if binned else "greedy"
    return config.numeric


def _shown(config: AskConfig, checkpoint: Checkpoint) -> InputConfig:
    if config.input is not None:
        return config.input
    trained = InputConfig.model_validate(checkpoint.manifest.config["input"])
    return trained.model_copy(update={"max_tokens": None})


def ensure_answers(asked: Plan, clips: ClipSet, checkpoint: Checkpoint, store: Store) -> None:
    """Put the raw answers into the store, unless they are there; every rank calls this."""
    from geovr import distributed
    from geovr.evaluation.answering import answer_into, remove_parts

    if distributed.broadcast_object(store.exists(predictions_key(asked.key))):
        log.info("evaluate: answers are in the store already; scoring them")
        return
    details = checkpoint.manifest.details
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        found = answer_into(
            store,
            f"evaluation/{asked.key}",
            checkpoint.store.get_directory(details["prefix"], details["files"], Path(scratch)),
            clips,
            asked.test,
            views=asked.views,
            numeric=asked.numeric,
            batch_rows=asked.batch_rows,
            shown=asked.shown,
        )
    if distributed.rank() != 0:
        return
    lines = []
    for number, row in enumerate(asked.test.itertuples(index=False)):
        texts = {view: answers[number].text for view, answers in found.items()}
        answer = found["video"][number]
        if answer.id != row.id:
            raise RuntimeError(f"evaluate: the answer to {row.id} carries the id {answer.id}")
        options = None if row.options is None or len(row.options) == 0 else list(row.options)
        lines.append(
            canonical_json(
                {
                    "id": row.id,
                    "clip_id": row.clip_id,
                    "scene": row.scene,
                    "kind": row.kind,
                    "question_sha256": sha256_bytes(row.question.encode()),
                    "video_sha256": row.video_sha256,
                    "text": texts["video"],
                    "blanked_text": texts.get("blank"),
                    "shuffled_text": texts.get("shuffled"),
                    "options": options,
                    "answer": row.answer,
                    "nll": answer.nll,
                    "decoding": asked.numeric,
                    "checkpoint": checkpoint.digest,
                }
            )
        )
    store.put(predictions_key(asked.key), ("\n".join(lines) + "\n").encode())
    remove_parts(store, f"evaluation/{asked.key}")


def check_complete(predictions: list[dict[str, Any]], test: pd.DataFrame) -> None:
    """Every question answered exactly once.

    Raises:
        UserError: naming ids that are missing or there twice.
    """
    found = [prediction["id"] for prediction in predictions]
    if found != list(test["id"]):
        missing = sorted(set(test["id"]) - set(found))
        twice = sorted({name for name in found if found.count(name) > 1})
        raise UserError(
            f"evaluate: {len(found)} answers to {len(test)} questions; missing: {missing[:5]},"
            f" twice: {twice[:5]}; delete the predictions and run evaluate again"
        )
