"""One stage by its name: inputs opened, config read, function called. What every door does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geovr.artifacts import Artifact, Checkpoint, ClipSet, EvalReport, TargetSet
from geovr.config import StageConfig, apply_overrides, read_params, stage_values, validate
from geovr.stages import Stage

INPUTS: dict[str, type[Artifact]] = {
    "clips": ClipSet,
    "targets": TargetSet,
    "checkpoint": Checkpoint,
    "evaluation": EvalReport,
}


def stage_config(stage: Stage, params: Path, overrides: list[str]) -> StageConfig:
    """A stage's config from its section of a params file.

    Raises:
        UserError: naming file and key of what is wrong.
    """
    values = stage_values(apply_overrides(read_params(params), overrides), stage.name)
    return validate(stage.config_class(), values, source=f"{params}, section {stage.name}")


def optional_config(stage: Stage, params: Path, overrides: list[str]) -> StageConfig:
    """The same for commands beside the flow, which do without the default params file."""
    if params.exists() or params != Path("params.yaml") or overrides:
        return stage_config(stage, params, overrides)
    return stage.config_class()()


def call(stage: Stage, config: StageConfig, inputs: dict[str, str], output: Path) -> Artifact:
    """Open the inputs, and run the stage in this process.

    Args:
        stage: which.
        config: its config.
        inputs: artifact name -> directory or s3:// URI.
        output: directory of the artifact it writes.
    """
    opened: dict[str, Any] = {name: INPUTS[name].load(inputs[name]) for name in stage.inputs}
    artifact: Artifact = stage.function()(config, **opened, output=output)
    return artifact
