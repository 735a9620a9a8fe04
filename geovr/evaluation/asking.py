"""A benchmark put to a checkpoint: which questions, how, and the answers kept in the store.

Answers lie raw under evaluation/<key>, where <key> says who was asked what and how: whoever asks
for them again finds them, and scoring reads them from there.
"""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from geovr.artifacts import Checkpoint, ClipSet
from geovr.config import Config, canonical_json, digest
from geovr.data.input import InputConfig
from geovr.data.sampling import SamplerConfig
from geovr.errors import UserError
from geovr.evaluation.backend import BackendConfig
from geovr.evaluation.coverage import questions_of
from geovr.evaluation.header import prediction_header
from geovr.evaluation.manner import Manner, manner_of
from geovr.evaluation.predictions import predictions_key
from geovr.evaluation.protocol import Protocol
from geovr.evaluation.protocols import FLOW, protocol_named, protocols_of
from geovr.storage import Store, sha256_bytes

if TYPE_CHECKING:
    import pandas as pd

    from geovr.data.dataset import View
    from geovr.evaluation.answer import NumericDecoding

log = logging.getLogger("geovr")


class AskConfig(Config):
    """Which questions are asked, and how."""

    split: str = Field("test", description="Split of the questions that are the benchmark.")
    protocol: str | None = Field(
        None,
        description="Named protocol by which a benchmark is asked, such as vsi-bench/official"
        " (docs/benchmarks.md); null: the flow's own words, as in training.",
    )
    backend: BackendConfig = BackendConfig()
    numeric: Literal["auto", "greedy", "expected_score"] = Field(
        "auto",
        description="expected_score: the one-token number of highest expected score; auto: that"
        " for models trained on binned numbers without a named protocol, else greedy.",
    )
    input: InputConfig | None = Field(
        None, description="How clips are put before the model; null: as in training, any length."
    )
    blanked: bool = Field(True, description="Ask again with the video blanked, as a baseline.")
    shuffled: bool = Field(
        True, description="Ask again with the frames in a random order, as a baseline."
    )
    batch_rows: int = Field(16, gt=0, description="Clips in one forward pass.")
    seed: int = Field(
        0, ge=0, description="Of the bootstrap, and of answers where a protocol samples them."
    )


@dataclass(frozen=True)
class Plan:
    """Questions for one checkpoint.

    Attributes:
        test: table of the questions, with scene and digests of their clips.
        protocol: by which they are asked.
        manner: their words, and how answers are generated.
        numeric: how numbers are decoded.
        shown: how clips are put before the model.
        views: what is shown of them.
        batch_rows: clips in a forward pass.
        backend: who answers.
        benchmark_digest: of questions, answers and videos; the same for every model.
        header: of the prediction file.
        key: of the answers.
    """

    test: pd.DataFrame
    protocol: Protocol
    manner: Manner
    numeric: NumericDecoding
    shown: InputConfig
    views: tuple[View, ...]
    batch_rows: int
    backend: BackendConfig
    benchmark_digest: str
    header: dict[str, Any]
    key: str


def plan(config: AskConfig, clips: ClipSet, checkpoint: Checkpoint) -> Plan:
    """What to ask a checkpoint.

    Raises:
        UserError: when the split has no question, or the clips are not what the protocol shows.
    """
    test = clips.questions[clips.questions["split"] == config.split].reset_index(drop=True)
    if test.empty:
        raise UserError(
            f"evaluate.split: no question belongs to {config.split!r}; the ClipSet's splits are"
            f" {sorted(set(clips.questions['split']))}"
        )
    protocol = FLOW if config.protocol is None else protocol_named(config.protocol)
    _check_clips(protocol, clips)
    known = ["clip_id", "scene", "video_sha256", "object_sha256"]
    test = test.merge(clips.index[known], on="clip_id", how="left")
    if "extra" not in test:
        test["extra"] = None
    asked = clips.index[clips.index["clip_id"].isin(set(test["clip_id"]))]
    manner = manner_of(protocol, test, asked, config.seed)
    numeric = _decoding(config, protocol, checkpoint)
    benchmark = digest(
        test[["id", "clip_id", "kind", "question", "answer", "video_sha256"]].to_dict("records")
    )
    views: list[View] = ["video"]
    views += ["blank"] if config.blanked else []
    views += ["shuffled"] if config.shuffled else []
    shown = _shown(config, protocol, checkpoint)
    published = clips.manifest.details.get("benchmark") or {}
    header = prediction_header(
        protocol,
        benchmark=published.get("benchmark"),
        benchmark_digest=benchmark,
        revision=published.get("revision"),
        sampler=_sampled(clips),
        clips={
            row.clip_id: (row.video_sha256, row.frame_indices)
            for row in asked.itertuples(index=False)
        },
        model_digest=checkpoint.digest,
        decoding="sampled" if protocol.generation.do_sample else numeric,
        shown=shown,
        views=views,
        batch_rows=config.batch_rows,
        seed=config.seed,
        backend=config.backend,
        ids=[str(name) for name in test["id"]],
        published=questions_of(clips, config.split),
        questions_sha256=digest(
            [
                [row.id, prompt, row.kind, row.question, _options(row), row.answer, _extra(row)]
                for row, prompt in zip(
                    test.itertuples(index=False), manner.prompts or (), strict=True
                )
            ]
        ),
    )
    # the objects too: the same places of a video may have been decoded by another version
    key = digest({"header": header, "objects": sorted(set(test["object_sha256"]))})[:24]
    return Plan(
        test, protocol, manner, numeric, shown, tuple(views), config.batch_rows, config.backend,
        benchmark, header, key,
    )  # fmt: skip


def _check_clips(protocol: Protocol, clips: ClipSet) -> None:
    """Whether a named protocol is of these questions, and shows these frames."""
    if protocol is FLOW:
        return
    details = clips.manifest.details
    of = (details.get("benchmark") or {}).get("benchmark")
    if of is not None and protocol.name not in protocols_of(of):
        raise UserError(
            f"evaluate.protocol: {protocol.name} is no protocol of {of}, which these clips are of;"
            f" its own are {', '.join(protocols_of(of))}"
        )
    wanted = protocol.sampling
    if wanted is None or not (clips.index["kind"] == "video").any():
        return
    found = SamplerConfig.model_validate(details["sampler"])
    if found.identity() != wanted.identity():
        source = clips.manifest.config.get("benchmark") or {"name": of, "path": "DIR"}
        again = (
            f"geovr ingest --set ingest.benchmark='{{name: {source['name']}, path:"
            f" {source['path']}}}' --set ingest.protocol={protocol.name} --set ingest.videos=null"
            " --set 'ingest.questions=[]'"
            if of is not None
            else f"geovr ingest --set ingest.sampler='{canonical_json(wanted.identity())}'"
        )
        raise UserError(
            f"evaluate.protocol: {protocol.name} shows frames by {wanted.identity()}, these clips"
            f" were sampled by {found.identity()}; sample them again: {again}"
        )


def _sampled(clips: ClipSet) -> dict[str, Any]:
    """How frames were chosen, and the longer side that they were reduced to."""
    found = SamplerConfig.model_validate(clips.manifest.details["sampler"]).identity()
    limits = clips.manifest.config.get("limits") or {}
    return {**found, "max_side": limits.get("max_side")}


def _decoding(config: AskConfig, protocol: Protocol, checkpoint: Checkpoint) -> NumericDecoding:
    if config.numeric == "expected_score" and config.backend.kind != "local":
        raise UserError(
            "evaluate.numeric: expected_score needs the probabilities of all numbers, which a"
            " server doesn't tell; use greedy, or evaluate.backend.kind: local"
        )
    if config.numeric == "auto":
        binned = checkpoint.manifest.details.get("numeric_answers") == "binned"
        ours = protocol is FLOW and config.backend.kind == "local"
        return "expected_score" if binned and ours else "greedy"
    return config.numeric


def _shown(config: AskConfig, protocol: Protocol, checkpoint: Checkpoint) -> InputConfig:
    trained = InputConfig.model_validate(checkpoint.manifest.config["input"])
    shown = config.input or trained.model_copy(update={"max_tokens": None})
    told = {"min_pixels": protocol.min_pixels, "max_pixels": protocol.max_pixels}
    told = {name: value for name, value in told.items() if value is not None}
    for name, value in told.items():
        own = getattr(config.input, name) if config.input is not None else None
        if own not in (None, value):
            raise UserError(
                f"evaluate.input.{name}: {own}, but {protocol.name} says {value}; take it out"
            )
    return shown.model_copy(update=told)


def ensure_answers(asked: Plan, clips: ClipSet, checkpoint: Checkpoint, store: Store) -> None:
    """Put the raw answers into the store, unless they are there; every rank calls this."""
    from geovr import distributed
    from geovr.evaluation.answering import answer_into, remove_parts
    from geovr.evaluation.remote import answer_by_server

    if distributed.broadcast_object(store.exists(predictions_key(asked.key))):
        log.info("evaluate: answers are in the store already; scoring them")
        return
    prefix = f"evaluation/{asked.key}"
    if asked.backend.kind == "openai":
        found = answer_by_server(
            store, prefix, asked.backend, clips, asked.test, views=asked.views, manner=asked.manner
        )
    else:
        details = checkpoint.manifest.details
        with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
            found = answer_into(
                store,
                prefix,
                checkpoint.store.get_directory(details["prefix"], details["files"], Path(scratch)),
                clips,
                asked.test,
                views=asked.views,
                numeric=asked.numeric,
                batch_rows=asked.batch_rows,
                shown=asked.shown,
                manner=asked.manner,
            )
    if distributed.rank() != 0:
        return
    lines = [canonical_json({"header": asked.header})]
    for number, row in enumerate(asked.test.itertuples(index=False)):
        texts = {view: answers[number].text for view, answers in found.items()}
        answer = found["video"][number]
        if answer.id != row.id:
            raise RuntimeError(f"evaluate: the answer to {row.id} carries the id {answer.id}")
        prompt = (asked.manner.prompts or ())[number]
        lines.append(
            canonical_json(
                {
                    "id": row.id,
                    "clip_id": row.clip_id,
                    "scene": row.scene,
                    "kind": row.kind,
                    "question": row.question,
                    "question_sha256": sha256_bytes(row.question.encode()),
                    "prompt_sha256": sha256_bytes(prompt.encode()),
                    "video_sha256": row.video_sha256,
                    "text": texts["video"],
                    "blanked_text": texts.get("blank"),
                    "shuffled_text": texts.get("shuffled"),
                    "options": _options(row),
                    "answer": row.answer,
                    "extra": _extra(row),
                    "nll": answer.nll,
                    "decoding": asked.numeric,
                    "checkpoint": checkpoint.digest,
                }
            )
        )
    store.put(predictions_key(asked.key), ("\n".join(lines) + "\n").encode())
    remove_parts(store, prefix)


def _options(row: Any) -> list[str] | None:
    return None if row.options is None or len(row.options) == 0 else list(row.options)


def _extra(row: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(row.extra) if isinstance(row.extra, str) else {}
    return told
