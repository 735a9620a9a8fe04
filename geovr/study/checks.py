"""What is told of a study before an hour is spent on its first run."""

from __future__ import annotations

from geovr.config import SHARED_KEYS, digest, stage_values, validate
from geovr.errors import UserError
from geovr.stages import STAGES
from geovr.study.config import StudyConfig, run_params

SECTIONS = (*(stage.name for stage in STAGES), *SHARED_KEYS)
"""Top-level keys of a params file that something reads."""


def check(study: StudyConfig) -> None:
    """Every arm's parameters.

    Raises:
        UserError: for keys that no stage reads or that the study overrides, wrong values, and arms
            of which one is the other.
    """
    known: dict[str, str] = {}
    for arm in study.arms:
        source = f"study {study.name}, arm {arm.name}"
        for key in (*study.set, *arm.set):
            _check_key(study, key, source)
        params = run_params(study, arm, study.seeds[0])
        if study.model is not None:
            params.setdefault("train", {})["base_model"] = "made for each seed"
        for stage in STAGES:
            if stage.name in (*params, "train"):
                values = stage_values(params, stage.name)
                validate(stage.config_class(), values, source=f"{source}, {stage.name}")
        made_from = digest({"params": params, "plant": arm.plant})
        if made_from in known:
            raise UserError(f"{source}: sets nothing that {known[made_from]} doesn't; change one")
        known[made_from] = arm.name


def _check_key(study: StudyConfig, key: str, source: str) -> None:
    section = key.split(".")[0]
    if section not in SECTIONS:
        raise UserError(f"{source}: {key}: no stage reads it; there are {', '.join(SECTIONS)}")
    if key == "train.seed":
        raise UserError(f"{source}: {key}: is each run's own; list seeds under `seeds`")
    if key == "train.base_model" and study.model is not None:
        raise UserError(f"{source}: {key}: `model` of the study makes one; set that to null")
