"""What a pipeline component does."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from geovr import errors, run_log
from geovr.artifacts import Manifest
from geovr.config import StageConfig, validate
from geovr.ingesting.window import is_time
from geovr.launch.run import run
from geovr.progress import StderrHandler
from geovr.stages import BY_NAME
from geovr.stages.run import INPUTS

log = logging.getLogger("geovr")


def run_component(
    stage_name: str,
    config_json: str,
    inputs: dict[str, tuple[str, str]],
    output: str,
    scheduled: str | None = None,
) -> dict[str, Any]:
    """What a pipeline component does: run the stage, and say what it made.

    How each stage ended is kept as `geovr.run_log` says, for the table that a local run ends with
    and for what a run on a cluster notifies.

    Args:
        stage_name: of geovr.stages.STAGES.
        config_json: the stage's config.
        inputs: artifact name -> (directory, content digest it must have).
        output: directory to write.
        scheduled: time that the run was scheduled for, as Kubeflow gives it.

    Returns:
        content digest, counts and seconds, as metadata of the output.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    log.setLevel(logging.INFO)
    began = time.monotonic()
    told: dict[str, Any] = {"stage": stage_name, "status": "failed", "message": ""}
    store = StageConfig().store
    try:
        values = _values(stage_name, config_json, scheduled)
        # known before the config is valid, so that a wrong one has a place to say so
        store = str(values.get("store", store))
        run_log.started(stage_name, store)
        stage = BY_NAME[stage_name]
        config = validate(stage.config_class(), values, source=f"parameter {stage_name}")
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
        if stage_name == "register":
            told["model"] = {key: manifest.details[key] for key in ("name", "version", "decision")}
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
        run_log.ended(stage_name, store, told)


def _values(stage_name: str, config_json: str, scheduled: str | None) -> dict[str, Any]:
    """The config's values, with the scheduled time where a window wants one and has none.

    Raises:
        UserError: when they are no mapping.
    """
    values = json.loads(config_json)
    if not isinstance(values, dict):
        raise errors.UserError(f"parameter {stage_name}: expected a JSON object, found {values!r}")
    if values.get("window") and not values.get("scheduled") and is_time(scheduled):
        values["scheduled"] = scheduled
    return values
