"""Answers by what users call them: a file, an evaluation, an MLflow run, a registered version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geovr import records
from geovr.artifacts import ClipSet, EvalReport
from geovr.errors import UserError
from geovr.evaluation.predictions import Predictions, parse, read, read_file
from geovr.model_registry import find_version
from geovr.promotion.champion import BENCHMARK_TAG, EVALUATION_TAG, REPORT_TAG, SHA_TAG, STORE_TAG
from geovr.storage import Store, is_s3

BASELINES = ("blanked", "shuffled", "most_frequent", "best_constant")
LEARNT_FROM_THEMSELVES = (
    "its training questions are not on record, so the constant answers were learnt from the very"
    " questions that are scored, which raises the bar"
)


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: for people.
        rows: its answers.
        benchmark: name in the table of benchmarks; None where it isn't told.
        benchmark_digest: of questions, answers and videos; None of a bare file.
        protocol: name of how it was asked; None where it isn't told.
        protocol_digest: of all that name stands for.
        inputs: of the evaluation that made it, name -> content digest.
        store: that holds the records of these inputs.
    """

    name: str
    rows: list[dict[str, Any]]
    benchmark: str | None = None
    benchmark_digest: str | None = None
    protocol: str | None = None
    protocol_digest: str | None = None
    inputs: Mapping[str, str] | None = None
    store: Store | None = None


def side_of(reference: str, scratch: Path) -> Side:
    """The answers that a reference names.

    Args:
        reference: a predictions .jsonl, on disk or s3://; the directory or s3:// URI of what
            evaluate or register wrote; an MLflow run's id; models:/NAME@ALIAS or /VERSION.
        scratch: directory for what comes from a store.

    Raises:
        UserError: when it names no answers, or they can't be read.
    """
    from geovr.report.make import open_root

    if reference.startswith("models:"):
        return _registered(reference)
    if reference.endswith(".jsonl"):
        if not is_s3(reference):
            return _of_file(reference, read_file(Path(reference)))
        place, _, name = reference.rpartition("/")
        return _of_file(reference, parse(Store.open(place).get(name).decode(), reference))
    root = open_root(reference, scratch)
    if root.manifest.kind == "ModelVersion":
        wanted = root.manifest.inputs["evaluation"]
        kept = records.find([root.store], "EvalReport", wanted)
        if kept is None:
            raise UserError(
                f"{reference}: its evaluation {wanted[:12]} has no record in {root.store.uri}; give"
                " the directory that evaluate wrote"
            )
        root = kept.open(EvalReport, scratch / "evaluation")
    if not isinstance(root, EvalReport):
        raise UserError(
            f"{reference}: this is a {root.manifest.kind}, which holds no answers; give what"
            " evaluate wrote"
        )
    details = root.manifest.details
    answers = read(root.store, details["key"], details["predictions_sha256"])
    return _evaluated(reference, answers, details, root.manifest.inputs, root.store)


def _of_file(name: str, answers: Predictions) -> Side:
    header = answers.header
    return Side(
        name,
        answers.rows,
        benchmark=header.get("benchmark"),
        benchmark_digest=header.get("benchmark_digest"),
        protocol=header.get("protocol"),
        protocol_digest=header.get("protocol_digest"),
    )


def _evaluated(
    name: str,
    answers: Predictions,
    details: Mapping[str, Any],
    inputs: Mapping[str, str],
    store: Store,
) -> Side:
    told = _of_file(name, answers)
    return replace(
        told,
        benchmark=told.benchmark or details.get("benchmark"),
        benchmark_digest=told.benchmark_digest or details.get("benchmark_digest"),
        protocol=told.protocol or details.get("protocol") or "flow",
        protocol_digest=told.protocol_digest or details.get("protocol_digest"),
        inputs=inputs,
        store=store,
    )


def _registered(reference: str) -> Side:
    version = find_version(reference)
    tags = version.tags
    store = Store.open(tags[STORE_TAG])
    answers = read(store, tags[EVALUATION_TAG], tags.get(SHA_TAG))
    kept = records.find([store], "EvalReport", tags.get(REPORT_TAG, ""))
    manifest = kept.made.manifest if kept is not None else None
    details = {"benchmark_digest": tags.get(BENCHMARK_TAG)}
    details |= manifest.details if manifest is not None else {}
    name = f"{version.name} version {version.number}"
    return _evaluated(name, answers, details, manifest.inputs if manifest else {}, store)


def baseline_of(side: Side, which: str, scratch: Path) -> tuple[Side, list[str]]:
    """A baseline's answers to the same questions, and what is to be said about them.

    Args:
        side: whose baseline.
        which: one of BASELINES.
        scratch: directory for what comes from a store.

    Raises:
        UserError: when there is no such baseline, or it was not asked.
    """
    if which not in BASELINES:
        raise UserError(f"--against {which}: choose one of {', '.join(BASELINES)}")
    notes: list[str] = []
    if which in ("blanked", "shuffled"):
        texts = [row.get(f"{which}_text") for row in side.rows]
        lacking = [str(row["id"]) for row, text in zip(side.rows, texts, strict=True)
                   if text is None]  # fmt: skip
        if lacking:
            raise UserError(
                f"{side.name}: {len(lacking)} questions were not asked {which} ({lacking[:3]});"
                f" evaluate with evaluate.{which}: true"
            )
    else:
        texts, notes = _constants(side, which, scratch)
    rows = [row | {"text": text} for row, text in zip(side.rows, texts, strict=True)]
    return replace(side, name=f"{side.name}, {which.replace('_', ' ')}", rows=rows), notes


def _constants(side: Side, which: str, scratch: Path) -> tuple[list[Any], list[str]]:
    import pandas as pd

    from geovr.evaluation.report import baseline_answers

    test = pd.DataFrame(
        {
            "kind": [row["kind"] for row in side.rows],
            "answer": [str(row["answer"]) for row in side.rows],
            "options": [row.get("options") for row in side.rows],
        }
    )
    clips = (side.inputs or {}).get("clips")
    kept = records.find([side.store], "ClipSet", clips) if side.store and clips else None
    if kept is None:
        return baseline_answers(test, test)[which], [f"{side.name}: {LEARNT_FROM_THEMSELVES}"]
    table = kept.open(ClipSet, scratch / "clips").questions
    train = table[table["split"] == "train"]
    unknown = sorted(set(test["kind"]) - set(train["kind"]))
    notes = [
        f"{side.name}: no training questions of {', '.join(unknown)}: {LEARNT_FROM_THEMSELVES}"
    ]
    return baseline_answers(train, test)[which], notes if unknown else []
