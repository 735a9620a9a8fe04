"""Run a stage where its config says."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from geovr import distributed, records
from geovr.artifacts import Manifest
from geovr.config import StageConfig
from geovr.errors import UserError
from geovr.launch_config import LaunchConfig
from geovr.stages import BY_NAME, summary
from geovr.stages.run import call

log = logging.getLogger("geovr")


def run(stage_name: str, config: StageConfig, inputs: dict[str, str], output: Path) -> float:
    """Run a stage where its config says, and keep a record of it: all doors pass here.

    Args:
        stage_name: of geovr.stages.STAGES.
        config: of the stage; `launch` says where, for those that can run on several processes.
        inputs: artifact name -> directory or s3:// URI.
        output: directory to write.

    Returns:
        seconds it took.

    Raises:
        UserError, GateRefused, Interrupted: what the stage raised, wherever it ran.
    """
    from geovr.launch import cluster, local

    stage = BY_NAME[stage_name]
    launch: LaunchConfig = getattr(config, "launch", LaunchConfig())
    inside_torchrun = "TORCHELASTIC_RUN_ID" in os.environ

    def start() -> None:
        if launch.scheduler == "inline" or inside_torchrun:
            call(stage, config, inputs, output)
        elif launch.scheduler == "kubernetes":
            cluster.run(stage, config, launch, inputs, output)
        else:
            local.require_visible(config, launch, output)
            local.run(stage, config, launch, inputs, output)

    seconds = records.recorded(stage_name, config.store, output, start)
    if distributed.rank() == 0 and not inside_torchrun:
        manifest = Manifest.model_validate_json((output / "manifest.json").read_bytes())
        log.info("%s", summary.line(stage_name, manifest, seconds, str(output)))
    return seconds


def dry_run(stage_name: str, config: StageConfig, inputs: dict[str, str]) -> str:
    """The job as its scheduler would get it; nothing is submitted or asked.

    Returns:
        for kubernetes YAML of the Volcano job; for the others TorchX's own description.
    """
    import yaml

    from geovr.launch import cluster, local

    stage = BY_NAME[stage_name]
    launch: LaunchConfig = getattr(config, "launch", LaunchConfig())
    if launch.scheduler == "inline":
        raise UserError(
            f"{stage_name}.launch.scheduler: inline starts no job; choose local_cwd, local_docker"
            " or kubernetes"
        )
    if launch.scheduler == "kubernetes":
        job = cluster.render(stage, config, launch, inputs).request.resource
        return str(yaml.safe_dump(job, sort_keys=False))
    return f"{local.render(stage, config, launch)}\n"
