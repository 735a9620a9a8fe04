"""The one TorchX app of a job: torchrun on every node, `geovr STAGE --job PLACE` in every rank."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from geovr.launch_config import LaunchConfig
from geovr.machine import usable_cores

ROLE = "geovr"
_PORT = 29500
_LOCAL_GRACE_S = 30


def make_app(stage: str, launch: LaunchConfig, place: str, port: int = _PORT) -> Any:
    """Describe the job, for any scheduler.

    Args:
        stage: name of the stage.
        launch: where it runs.
        place: the job's channel.
        port: of the rendezvous on the first node.
    """
    from torchx.components import dist
    from torchx.specs import macros

    app = dist.torchrun(
        stage,
        "--job",
        # TorchX fills in ${...} wherever it finds it
        place.replace("$", "$$"),
        m="geovr",
        name=f"geovr/{stage}",
        j=f"{launch.nodes}x{launch.processes_per_node}",
        env=_environment(launch) | {"GEOVR_NODE": macros.replica_id},
        rdzv_port=port,
        image=launch.image or "",
        cpu=launch.resources.cpus,
        gpu=launch.gpus,
        memMB=1000 * launch.resources.memory_gb,
        max_retries=launch.max_retries if launch.scheduler == "kubernetes" else 0,
    )
    role = app.roles[0]
    # the same arguments, and an exit code that says why
    command = role.args[1]
    if not command.startswith("torchrun "):
        raise RuntimeError(f"TorchX's command doesn't start with torchrun: {command}")
    role.args[1] = command.replace("torchrun", "python -m geovr.launch.agent", 1)
    return app


def _environment(launch: LaunchConfig) -> dict[str, str]:
    grace = _LOCAL_GRACE_S
    if launch.scheduler == "kubernetes":
        # the agent needs some of the pod's time to say how it ended
        grace = launch.kubernetes.grace_s - 10
    common = {"PET_SHUTDOWN_TIMEOUT": str(grace)}
    if launch.scheduler == "local_cwd":
        ranks = launch.nodes * launch.processes_per_node
        return common | {
            # python must be this interpreter
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "OMP_NUM_THREADS": str(max(1, usable_cores() // ranks)),
        }
    threads = max(1, launch.resources.cpus // launch.processes_per_node)
    return common | {
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }
