"""The parts of a run, found by following the digests in manifests backwards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geovr import records
from geovr.artifacts import Artifact, Checkpoint, ClipSet, EvalReport, Kind, ModelVersion, TargetSet
from geovr.errors import StoreError, UserError
from geovr.quality.suites import Verdict
from geovr.storage import Store

KINDS: dict[Kind, type[Artifact]] = {
    "ClipSet": ClipSet,
    "TargetSet": TargetSet,
    "Checkpoint": Checkpoint,
    "EvalReport": EvalReport,
    "ModelVersion": ModelVersion,
}
ORDER = (
    "ingest", "check_clips", "extract_targets", "check_targets", "train", "evaluate", "register",
)  # fmt: skip
"""The stages as the page shows them; a test holds them to geovr.stages."""


@dataclass(frozen=True)
class Part:
    """One stage of the run.

    Attributes:
        stage: its name.
        artifact: what it made; None of a gate, and where it was not found.
        kept: its runs in the store.
        verdict: of a gate.
        missing: why there is nothing to show, in words.
    """

    stage: str
    artifact: Artifact | None = None
    kept: records.Kept | None = None
    verdict: Verdict | None = None
    missing: str | None = None


@dataclass
class Run:
    """All parts, by stage name."""

    parts: dict[str, Part] = field(default_factory=dict)
    benchmark: Part | None = None
    """Clips that were evaluated, where they are another ClipSet than the one trained on."""
    decision: dict[str, Any] | None = None
    """Name, version and promotion, as in a ModelVersion's details."""
    judged: dict[str, Any] | None = None
    """What the decision was made on, as in decision.json."""

    @property
    def clips(self) -> ClipSet | None:
        """Clips that were trained on."""
        found = self.parts["ingest"].artifact
        return found if isinstance(found, ClipSet) else None

    @property
    def asked(self) -> ClipSet | None:
        """Clips that were asked about."""
        found = (self.benchmark or self.parts["ingest"]).artifact
        return found if isinstance(found, ClipSet) else None

    @property
    def targets(self) -> TargetSet | None:
        """What the teacher said."""
        found = self.parts["extract_targets"].artifact
        return found if isinstance(found, TargetSet) else None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The model."""
        found = self.parts["train"].artifact
        return found if isinstance(found, Checkpoint) else None

    @property
    def evaluation(self) -> EvalReport | None:
        """Its scores."""
        found = self.parts["evaluate"].artifact
        return found if isinstance(found, EvalReport) else None


class Gatherer:
    """Finds parts by kind and digest: among those at hand, in the store, and beside one at hand.

    Args:
        at_hand: artifacts that are open already.
        scratch: directory for what comes from the store, used as long as the artifacts are.
    """

    def __init__(self, at_hand: Iterable[Artifact], scratch: Path) -> None:
        self._at_hand = {(a.manifest.kind, a.digest): a for a in at_hand}
        self._scratch = scratch
        self._stores: dict[str, Store] = {}
        for artifact in self._at_hand.values():
            self._look_in(artifact)

    def _look_in(self, artifact: Artifact) -> None:
        uri = artifact.manifest.store
        self._stores.setdefault(uri, Store.open(uri))

    def part(self, stage: str, kind: Kind, digest: str | None) -> Part:
        """The part that made an artifact."""
        if digest is None:
            return Part(stage, missing="what came after it was not found, so it is not known")
        artifact = self._at_hand.get((kind, digest)) or self._beside(kind, digest)
        try:
            kept = records.find(self._stores.values(), kind, digest)
            if artifact is None and kept is not None:
                artifact = kept.open(KINDS[kind], self._scratch / f"{kind}-{digest}")
        except (StoreError, UserError) as error:
            return Part(stage, artifact, missing=str(error))
        if artifact is None:
            return Part(stage, missing=f"no record of {kind} {digest[:12]} {_OLDER}")
        self._look_in(artifact)
        missing = None if kept else f"no record of its run {_OLDER}"
        return Part(stage, artifact, kept, missing=missing)

    def gate(self, stage: str, inputs: dict[str, str | None]) -> Part:
        """What a gate said about these inputs, name -> content digest."""
        known = {name: digest for name, digest in inputs.items() if digest is not None}
        if len(known) < len(inputs):
            return Part(stage, missing="what it judged was not found")
        try:
            kept = records.find(self._stores.values(), "GateReport", records.judged(known))
            if kept is None:
                return Part(stage, missing=f"no record that it judged this run's data {_OLDER}")
            verdict = Verdict.model_validate_json(kept.file("report.json"))
        except (StoreError, ValueError) as error:
            return Part(stage, missing=str(error))
        return Part(stage, None, kept, verdict)

    def _beside(self, kind: Kind, digest: str) -> Artifact | None:
        """An artifact in a neighbouring directory, as the command line and the local runner leave
        them: a run of before there were records.
        """
        for known in list(self._at_hand.values()):
            for pattern in ("../*/manifest.json", "../../*/*/manifest.json"):
                for path in sorted(known.directory.resolve().glob(pattern)):
                    try:
                        found = KINDS[kind].load(path.parent)
                    except UserError:
                        continue
                    if found.digest == digest:
                        self._at_hand[kind, digest] = found
                        return found
        return None


_OLDER = "in the store: the stage ran before records were kept, or wrote to another store"


def gather(root: Artifact, scratch: Path, at_hand: Iterable[Artifact] = ()) -> Run:
    """The run that made an artifact.

    Args:
        root: a ModelVersion, EvalReport or Checkpoint.
        scratch: directory for what comes from the store.
        at_hand: other artifacts that are open already.
    """
    look = Gatherer([root, *at_hand], scratch)
    run = Run()
    inputs = dict(root.manifest.inputs)
    version = root.digest if root.manifest.kind == "ModelVersion" else None
    evaluation = root.digest if root.manifest.kind == "EvalReport" else inputs.get("evaluation")
    checkpoint = root.digest if root.manifest.kind == "Checkpoint" else inputs.get("checkpoint")
    not_yet = Part("register", missing="not registered, as far as what was given says")
    run.parts["register"] = look.part("register", "ModelVersion", version) if version else not_yet
    if version:
        run.decision = root.manifest.details
        run.judged = judged_in(root.directory)
    if evaluation is None:
        run.parts["evaluate"] = Part("evaluate", missing="no evaluation of it was given")
    else:
        run.parts["evaluate"] = look.part("evaluate", "EvalReport", evaluation)
    run.parts["train"] = look.part("train", "Checkpoint", checkpoint)
    trained = _inputs(run.checkpoint)
    benchmark = _inputs(run.evaluation).get("clips")
    clips = trained.get("clips") or benchmark
    run.parts["ingest"] = look.part("ingest", "ClipSet", clips)
    targets = trained.get("targets")
    run.parts["extract_targets"] = look.part("extract_targets", "TargetSet", targets)
    run.parts["check_clips"] = look.gate("check_clips", {"clips": clips})
    run.parts["check_targets"] = look.gate("check_targets", {"clips": clips, "targets": targets})
    if benchmark is not None and benchmark != clips:
        run.benchmark = look.part("ingest", "ClipSet", benchmark)
    return run


def judged_in(directory: Path) -> dict[str, Any] | None:
    """What a registration's directory says of the decision; None in one of before that was kept."""
    path = directory / "decision.json"
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def _inputs(artifact: Artifact | None) -> dict[str, str]:
    return artifact.manifest.inputs if artifact is not None else {}
