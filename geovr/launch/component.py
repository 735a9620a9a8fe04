"""What a pipeline component does."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from geovr import errors
from geovr.artifacts import Manifest
from geovr.config import validate
from geovr.launch.run import run
from geovr.progress import StderrHandler
from geovr.stages import BY_NAME
from geovr.stages.run import INPUTS
from geovr.storage import write_atomic

log = logging.getLogger("geovr")


def run_component(
    stage_name: str, config_json: str, inputs: dict[str, tuple[str, str]], output: str
) -> dict[str, Any]:
    """What a pipeline component does: run the stage, and say what it made.

    Where GEOVR_RUN_LOG names a directory, how each stage ended is written there, for the table
    that a local run ends with.

    Args:
        stage_name: of geovr.stages.STAGES.
        config_json: the stage's config.
        inputs: artifact name -> (directory, content digest it must have).
        output: directory to write.

    Returns:
        content digest, counts and seconds, as metadata of the output.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    log.setLevel(logging.INFO)
    began = time.monotonic()
    told: dict[str, Any] = {"stage": stage_name, "status": "failed", "message": ""}
    try:
        stage = BY_NAME[stage_name]
        config = validate(
            stage.config_class(), json.loads(config_json), source=f"parameter {stage_name}"
        )
        for name, (place, digest) in inputs.items():
            found = INPUTS[name].load(place).digest
            if found != digest:
                raise errors.UserError(
                    f"{place}: its content digest is {found}, the run was told {digest}; run the"
                    " stage that writes it again"
                )
        places = {name: place for name, (place, _) in inputs.items()}
        seconds = run(stage_name, config, places, Path(output))
        manifest = Manifest.model_validate_json((Path(output) / "manifest.json").read_text())
        told |= {"status": "done", "output": output, "seconds": seconds}
        return {
            "digest": manifest.content_digest,
            "seconds": round(seconds, 1),
            **manifest.counts,
        }
    except Exception as error:
        told |= {"error": type(error).__name__, "message": str(error)}
        raise
    finally:
        told.setdefault("seconds", time.monotonic() - began)
        directory = os.environ.get("GEOVR_RUN_LOG")
        if directory:
            write_atomic(Path(directory) / f"{stage_name}.json", json.dumps(told).encode())
