"""register: Checkpoint + EvalReport -> ModelVersion, with the decision on promotion.

One version per checkpoint, however often this is tried. The stage fails only when registering
fails; a refused promotion is a recorded decision, not an error. report.html shows the whole run.

decision.json has the numbers behind the decision, MODEL_CARD.md tells people what the version is.

details of the ModelVersion: name, version, decision, reason, champion, source, leakage, dvc.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pydantic import Field

from geovr.artifacts import Checkpoint, EvalReport, ModelVersion, git_sha, start_output
from geovr.config import StageConfig, digest
from geovr.leakage.likeness import LikenessConfig
from geovr.promotion.policy import PromotionPolicy
from geovr.report.config import ReportConfig
from geovr.storage import Store, write_atomic

log = logging.getLogger("geovr")


class RegisterConfig(StageConfig):
    """Under which name, and what a new champion must show."""

    model_name: str = Field("geovr", description="Name of the registered model.")
    policy: PromotionPolicy = PromotionPolicy()
    likeness: LikenessConfig = LikenessConfig()
    require_commercial_use: bool = Field(
        False,
        description="Refuse promotion unless the licences of base model and teachers are known to"
        " allow commercial use. `geovr promote` holds the version to it too.",
    )
    report: ReportConfig = ReportConfig()


def register(
    config: RegisterConfig, *, checkpoint: Checkpoint, evaluation: EvalReport, output: Path
) -> ModelVersion:
    """Register the checkpoint as challenger, and make it champion if it earned it.

    Raises:
        UserError: when the report is of another checkpoint.
    """
    from geovr import data_version, lineage, promotion
    from geovr.errors import UserError
    from geovr.leakage import registration
    from geovr.model_registry import CHALLENGER, CHAMPION, ModelRegistry
    from geovr.promotion.card import publish_card
    from geovr.report.make import report_of_registration, report_tags

    if evaluation.manifest.inputs.get("checkpoint") != checkpoint.digest:
        raise UserError(
            f"{evaluation.directory}: evaluates another checkpoint than {checkpoint.directory};"
            " run evaluate on this one"
        )
    registry = ModelRegistry(config.model_name)
    trained, evaluated = checkpoint.manifest.details, evaluation.manifest.details
    teacher = trained.get("teacher") or {}
    parts = [lineage.Part.model_validate(part) for part in trained.get("lineage", [])]
    leak = registration.leakage(checkpoint, evaluation, config.likeness)
    tags = {
        registration.TAG: leak.tag,
        "geovr.git_sha": git_sha(),
        "geovr.config": digest(checkpoint.manifest.config),
        "geovr.teacher": str(teacher.get("name")),
        "geovr.teacher_license": str(teacher.get("license")),
        **lineage.tags(parts),
        **data_version.tags(data_version.of(checkpoint)),
        "geovr.mean_score": f"{evaluated['headline']:.4f}",
        promotion.PROFILE_TAG: str(config.require_commercial_use).lower(),
        promotion.BENCHMARK_TAG: evaluated["benchmark_digest"],
        promotion.NAME_TAG: evaluated.get("benchmark") or "own",
        promotion.SCORING_TAG: evaluated.get("scoring", "flow"),
        promotion.PROTOCOL_TAG: promotion.way_of(evaluated),
        promotion.EVALUATION_TAG: evaluated["key"],
        promotion.STORE_TAG: evaluation.manifest.store,
        promotion.SHA_TAG: evaluated["predictions_sha256"],
        promotion.REPORT_TAG: evaluation.digest,
        **{f"geovr.input.{name}": value for name, value in checkpoint.manifest.inputs.items()},
    }
    source = Store.open(checkpoint.manifest.store).uri_of(trained["prefix"])
    version = registry.ensure_version(checkpoint.digest, source, trained["mlflow_run_id"], tags)
    registry.set_alias(CHALLENGER, version.number)
    decision = promotion.judge(
        registry, version, config.policy, commercial=config.require_commercial_use
    )
    verdict = "approved" if decision.approved else "refused"
    champion = registry.by_alias(CHAMPION)
    details = {
        "name": config.model_name,
        "version": version.number,
        "decision": verdict,
        "reason": decision.reason,
        "champion": champion.number if champion else None,
        "source": source,
        "leakage": leak.tag,
        "dvc": data_version.of(checkpoint),
    }
    directory = start_output(output)
    write_atomic(directory / "report.json", (json.dumps(details, indent=2) + "\n").encode())
    judged = decision.told() | leak.told()
    judged |= {"policy": config.policy.model_dump(), "version": version.number}
    write_atomic(directory / "decision.json", (json.dumps(judged, indent=2) + "\n").encode())
    publish_card(registry, version, checkpoint, evaluation, decision, directory)
    log.info(
        "register: %s version %d, promotion %s: %s",
        config.model_name,
        version.number,
        verdict,
        decision.reason,
    )
    content = {"name": config.model_name, "checkpoint": checkpoint.digest}
    report_of_registration(
        config.report,
        checkpoint,
        evaluation,
        details,
        directory,
        report_tags(Store.open(config.store).uri, "ModelVersion", ModelVersion.digest_of(content)),
    )
    return ModelVersion.commit(
        directory,
        inputs={"checkpoint": checkpoint.digest, "evaluation": evaluation.digest},
        config=config.model_dump(mode="json"),
        counts={"versions": 1},
        store=Store.open(config.store).uri,
        content=content,
        details=details,
    )
