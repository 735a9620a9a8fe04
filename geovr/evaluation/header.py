"""The first line of a prediction file: all that decided what was asked, shown and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geovr.data.input import InputConfig
from geovr.evaluation.backend import BackendConfig
from geovr.evaluation.benchmarks.lock import ids_digest
from geovr.evaluation.protocol import Protocol

SCHEMA = 1


def prediction_header(
    protocol: Protocol,
    *,
    benchmark: str | None,
    benchmark_digest: str,
    revision: str | None,
    sampler: Mapping[str, Any],
    clips: Mapping[str, tuple[str, Sequence[int]]],
    model_digest: str,
    decoding: str,
    shown: InputConfig,
    views: Sequence[str],
    batch_rows: int,
    seed: int,
    backend: BackendConfig,
    ids: Sequence[str],
    published: int,
    questions_sha256: str,
) -> dict[str, Any]:
    """The header; answers are kept under its digest, so that none is ever taken for another.

    Args:
        protocol: that was followed.
        benchmark: its name in the table; None for questions that are no published benchmark's.
        benchmark_digest: of questions, answers and videos.
        revision: of the benchmark; None for a directory that no fetch recorded.
        sampler: how ingest chose frames (SamplerConfig.identity, and max_side).
        clips: clip id -> sha256 of the video, places of its frames.
        model_digest: of the checkpoint.
        decoding: of numbers: greedy, expected_score, or sampled.
        shown: how clips were put before the model; over_length may have left frames out.
        views: what was shown.
        batch_rows: clips in a forward pass, on which the last bits of an answer hang.
        seed: of sampling.
        backend: who answered.
        ids: of the questions, in the order of the file.
        published: questions of the whole benchmark, those included that can't be asked.
        questions_sha256: of their words, as put to the model, and of all that scoring reads.
    """
    local = backend.kind == "local"
    return {
        "schema": SCHEMA,
        "benchmark": benchmark,
        "benchmark_digest": benchmark_digest,
        "revision": revision,
        "protocol": protocol.name,
        "protocol_digest": protocol.digest,
        "prompts": protocol.prompts.model_dump(mode="json"),
        "media": protocol.media,
        "sampler": dict(sampler),
        "generation": protocol.generation.model_dump(mode="json"),
        "seed": seed if protocol.generation.do_sample else None,
        "decoding": decoding,
        "input": shown.model_dump(mode="json") if local else None,
        "views": list(views),
        "batch_rows": batch_rows if local else None,
        "backend": backend.identity(),
        "model_digest": model_digest,
        "published": published,
        "questions": len(ids),
        "ids_sha256": ids_digest(list(ids)),
        "questions_sha256": questions_sha256,
        "clips": {
            clip_id: {"sha256": sha256, "frame_indices": [int(place) for place in places]}
            for clip_id, (sha256, places) in sorted(clips.items())
        },
    }
