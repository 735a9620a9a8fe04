"""The champion's answers to the very benchmark that a candidate was evaluated on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from geovr import records
from geovr.artifacts import Checkpoint, ClipSet
from geovr.errors import UserError
from geovr.evaluation.asking import AskConfig, ensure_answers, plan
from geovr.evaluation.predictions import read_predictions
from geovr.evaluation.protocols import FLOW
from geovr.model_registry import CHECKPOINT_TAG, Version
from geovr.storage import Store

BENCHMARK_TAG = "geovr.benchmark"
PROTOCOL_TAG = "geovr.protocol"
"""How the benchmark was asked (`way_of`); versions without it were asked as the flow asks."""
NAME_TAG = "geovr.benchmark_name"
"""As benchmarks/table.py calls it; own for questions that are no published benchmark's."""
SCORING_TAG = "geovr.scoring"
"""flow, or the profile by which the evaluation was scored."""
EVALUATION_TAG = "geovr.evaluation"
STORE_TAG = "geovr.store"
SHA_TAG = "geovr.predictions_sha256"
REPORT_TAG = "geovr.evaluation_report"
"""Content digest of the EvalReport."""


def way_of(evaluated: dict[str, Any]) -> str:
    """How a model was asked, by the details of its EvalReport: only what is alike is compared."""
    served = evaluated.get("backend", "local")
    digest: str = evaluated.get("protocol_digest", FLOW.digest)
    return digest if served == "local" else f"{digest} {served}"


def answers_of(version: Version) -> list[dict[str, Any]]:
    """The answers that a version was registered with."""
    store = Store.open(version.tags[STORE_TAG])
    return read_predictions(store, version.tags[EVALUATION_TAG], version.tags[SHA_TAG])


def answers_on_the_benchmark_of(candidate: Version, champion: Version) -> list[dict[str, Any]]:
    """The champion's answers to the candidate's benchmark, asked again where there are none.

    Raises:
        UserError: when its checkpoint, or the candidate's clips, are no longer in their store, or
            the candidate was asked through a server, which knows no champion.
    """
    ours = candidate.tags.get(BENCHMARK_TAG)
    ways = [version.tags.get(PROTOCOL_TAG, FLOW.digest) for version in (candidate, champion)]
    if ours is not None and ours == champion.tags.get(BENCHMARK_TAG) and ways[0] == ways[1]:
        return answers_of(champion)
    uris = (candidate.tags.get(STORE_TAG), champion.tags.get(STORE_TAG))
    stores = [Store.open(uri) for uri in dict.fromkeys(uris) if uri]
    report = records.find(stores, "EvalReport", candidate.tags.get(REPORT_TAG, ""))
    if report is None:
        raise UserError(
            f"version {candidate.number}: the record of its evaluation is not in its store; run"
            " evaluate and register again"
        )
    manifest = report.made.manifest
    clips_kept = records.find(stores, "ClipSet", manifest.inputs["clips"])
    checkpoint_kept = records.find(stores, "Checkpoint", champion.tags.get(CHECKPOINT_TAG, ""))
    for what, kept in (("clips of its benchmark", clips_kept),
                       (f"checkpoint of version {champion.number}", checkpoint_kept)):  # fmt: skip
        if kept is None:
            raise UserError(
                f"version {candidate.number}: the {what} can't be found in"
                f" {', '.join(store.uri for store in stores)}, so the champion can't be asked"
            )
    assert clips_kept is not None and checkpoint_kept is not None
    fields = {k: v for k, v in manifest.config.items() if k in AskConfig.model_fields}
    config = AskConfig.model_validate(fields)
    if config.backend.kind != "local":
        raise UserError(
            f"version {candidate.number} was evaluated through a server, where version"
            f" {champion.number} isn't; evaluate both with evaluate.backend.kind: local, or the"
            " champion through its own server, and register again"
        )
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        clips = clips_kept.open(ClipSet, Path(scratch) / "clips")
        checkpoint = checkpoint_kept.open(Checkpoint, Path(scratch) / "checkpoint")
        asked = plan(config, clips, checkpoint)
        ensure_answers(asked, clips, checkpoint, stores[0])
    return read_predictions(stores[0], asked.key)
