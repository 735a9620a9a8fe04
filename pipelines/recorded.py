"""What a run was: the record of each of its stages, found by the digests in manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geovr import records, tracking
from geovr.artifacts import Kind, Manifest, ModelVersion
from geovr.errors import UserError
from geovr.model_registry import CHECKPOINT_TAG, find_version
from geovr.promotion.champion import STORE_TAG
from geovr.records import Record
from geovr.report import make as reports
from geovr.storage import Store, is_s3, localise

ROOTS: tuple[Kind, ...] = ("ModelVersion", "EvalReport", "Checkpoint")
"""By which a run is named; the last thing that it made comes first."""
_MADE_BY: dict[Kind, str] = {
    "ClipSet": "ingest",
    "TargetSet": "extract_targets",
    "Checkpoint": "train",
    "EvalReport": "evaluate",
    "ModelVersion": "register",
}


@dataclass
class Recorded:
    """A run.

    Attributes:
        name: as the user gave it.
        digest: content digest of the Checkpoint that it made.
        steps: stage -> its record, without the stages that left none.
        notes: what is to be known about it, in words.
    """

    name: str
    digest: str
    steps: dict[str, Record]
    notes: list[str] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """What DVC calls its data; empty where it doesn't know them."""
        return self.steps["ingest"].manifest.details.get("dvc") or {}


class _Records:
    """Records of some stores; those that they name are looked into as well."""

    def __init__(self, stores: list[str]) -> None:
        self._stores: dict[str, Store] = {}
        for uri in stores:
            self.add(uri)

    def add(self, uri: str) -> None:
        store = Store.open(uri)
        self._stores.setdefault(store.uri, store)

    @property
    def places(self) -> str:
        return ", ".join(self._stores)

    def all(self, kind: Kind, of: str) -> list[Record]:
        """Those of an artifact, oldest first."""
        kept = records.find(list(self._stores.values()), kind, of)
        return list(kept.runs) if kept else []

    def one(self, kind: Kind, of: str, user: Record | None = None) -> Record:
        """Of those that made an artifact the last before it was used.

        Raises:
            UserError: when there is none.
        """
        found = self.all(kind, of)
        if not found:
            raise UserError(
                f"no record of {_MADE_BY[kind]} that made {kind} {of} in {self.places}; it wrote to"
                " another store, which --store names, or ran before records were kept"
            )
        record = _last_before(found, user)
        self.add(record.manifest.store)
        return record

    def gate(self, stage: str, inputs: dict[str, str], user: Record) -> Record | None:
        """What a gate said about these inputs before something was made of them."""
        found = self.all("GateReport", records.judged(inputs))
        mine = [record for record in found if record.stage == stage]
        return _last_before(mine, user) if mine else None

    def users(self, kind: Kind, name: str, of: str) -> list[Record]:
        """Those whose artifact was made from another one, oldest first."""
        made = [r for r in self._every(kind) if r.manifest.inputs.get(name) == of]
        return sorted(made, key=lambda record: record.began)

    def of_mlflow_run(self, run_id: str) -> Record | None:
        """The training that logged to a run."""
        made = self._every("Checkpoint")
        return next((r for r in made if r.manifest.details.get("mlflow_run_id") == run_id), None)

    def kind_of(self, digest: str) -> Kind | None:
        """Of which root there are records."""
        return next((kind for kind in ROOTS if self.all(kind, digest)), None)

    def _every(self, kind: Kind) -> Iterator[Record]:
        for store in list(self._stores.values()):
            known = {key.split("/")[2] for key in store.keys(f"records/{kind}")}
            for digest in sorted(known):
                kept = records.find([store], kind, digest)
                yield from kept.runs if kept else ()


def _last_before(found: list[Record], user: Record | None) -> Record:
    before = [record for record in found if user is None or record.began <= user.began]
    return (before or found)[-1]


def find_run(name: str, store: str) -> Recorded:
    """The run that a name stands for.

    Args:
        name: a model version as NAME/3 or models:/NAME/3 (or @ALIAS), an MLflow run's id, the
            directory or s3:// URI of a ModelVersion, EvalReport or Checkpoint, or its digest.
        store: URI of a store to look into; those that records name are looked into as well.

    Raises:
        UserError: when it names nothing, or a record that is needed is missing.
    """
    look = _Records([store])
    kind, digest = _root(name, look)
    steps: dict[str, Record] = {}
    if kind == "ModelVersion":
        steps["register"] = look.one(kind, digest)
        kind, digest = "EvalReport", steps["register"].manifest.inputs["evaluation"]
    if kind == "EvalReport":
        steps["evaluate"] = look.one(kind, digest, steps.get("register"))
        digest = steps["evaluate"].manifest.inputs["checkpoint"]
    steps["train"] = trained = look.one("Checkpoint", digest, steps.get("evaluate"))
    run = Recorded(name, digest, steps)
    if "evaluate" not in steps:
        for evaluation in look.users("EvalReport", "checkpoint", digest)[-1:]:
            steps["evaluate"] = evaluation
    if "evaluate" in steps and "register" not in steps:
        evaluated = steps["evaluate"].manifest.content_digest
        for version in look.users("ModelVersion", "evaluation", evaluated)[-1:]:
            steps["register"] = version
    inputs = {name: trained.manifest.inputs[name] for name in ("clips", "targets")}
    steps["extract_targets"] = look.one("TargetSet", inputs["targets"], trained)
    steps["ingest"] = look.one("ClipSet", inputs["clips"], steps["extract_targets"])
    told = {"clips": inputs["clips"]}
    for stage, of in (("check_clips", told), ("check_targets", inputs)):
        report = look.gate(stage, of, trained)
        if report is not None:
            steps[stage] = report
        else:
            run.notes.append(f"no record of {stage} for this run; its settings are the defaults")
    _only_what_the_pipeline_does(run)
    return run


def _only_what_the_pipeline_does(run: Recorded) -> None:
    """Leave out what is no part of one run of the pipeline.

    Raises:
        UserError: when it goes on from another training.
    """
    other = run.steps["train"].manifest.config.get("resume_from")
    if other:
        raise UserError(
            f"{run.name}: it went on from training {other} (train.resume_from), so running it again"
            " takes both: reproduce that one first"
        )
    evaluation = run.steps.get("evaluate")
    if evaluation is None:
        run.notes.append("no record of an evaluation; its settings are the defaults")
    elif evaluation.manifest.inputs["clips"] != run.steps["train"].manifest.inputs["clips"]:
        run.steps.pop("evaluate")
        run.notes.append(
            "it was evaluated on other clips than it was trained on, which the pipeline doesn't do:"
            " its own test questions are asked instead, and that is not compared"
        )


def _root(name: str, look: _Records) -> tuple[Kind, str]:
    if name.startswith("models:") or (
        re.fullmatch(r"[^/@]+(/\d+|@[^/@]+)", name) and not Path(name).exists()
    ):
        version = find_version(name if name.startswith("models:") else f"models:/{name}")
        if STORE_TAG in version.tags:
            look.add(version.tags[STORE_TAG])
        told = {"name": version.name, "checkpoint": version.tags[CHECKPOINT_TAG]}
        return "ModelVersion", ModelVersion.digest_of(told)
    if re.fullmatch("[0-9a-f]{32}", name) and not Path(name).exists():
        return _of_mlflow_run(name, look)
    if re.fullmatch("[0-9a-f]{64}", name) and not Path(name).exists():
        kind = look.kind_of(name)
        if kind is None:
            raise UserError(
                f"{name}: no record of a {', '.join(ROOTS)} of this digest in {look.places};"
                " --store names another store"
            )
        return kind, name
    if not is_s3(name) and not Path(name).is_dir():
        raise UserError(
            f"{name}: no such run; give a model version (NAME/3), an MLflow run's id, the directory"
            f" of a {', '.join(ROOTS)}, or its digest"
        )
    path = localise(name) / "manifest.json"
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: not a manifest this version reads: {error}") from None
    if manifest.kind not in ROOTS:
        raise UserError(f"{name}: this is a {manifest.kind}; give one of {', '.join(ROOTS)}")
    look.add(manifest.store)
    return manifest.kind, manifest.content_digest


def _of_mlflow_run(run_id: str, look: _Records) -> tuple[Kind, str]:
    tags = tracking.tags_of(run_id)
    if reports.STORE_TAG in tags:
        look.add(tags[reports.STORE_TAG])
        name, _, digest = tags.get(reports.OF_TAG, "").partition("/")
        kind = next((root for root in ROOTS if root == name), None)
        if kind is not None:
            return kind, digest
    record = look.of_mlflow_run(run_id)
    if record is None:
        raise UserError(
            f"{run_id}: no training in {look.places} logged to this MLflow run, and it tells no"
            " evaluation; --store names another store"
        )
    return "Checkpoint", record.manifest.content_digest
