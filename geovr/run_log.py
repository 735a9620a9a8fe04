"""How each stage of one pipeline run ended, kept where the last step of the run can read it.

GEOVR_RUN_LOG   a directory, where the whole run is on one machine
GEOVR_RUN_ID    Kubeflow's id of the run: then the same is kept in the store as
                runs/<id>/<stage>.json, for pods share nothing else

Kubeflow tells the step that ends a run only whether it failed, not where or why.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from geovr.launch_config import SECRET_NAME
from geovr.storage import Store, StoreError, write_atomic
from geovr.tracking import redacted

log = logging.getLogger("geovr")

_SHORTEST_SECRET = 6
"""A shorter value of a variable with a secret's name would blank words that merely hold it."""
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")
_RUN_ID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,127}")
Told = dict[str, Any]


def first_line(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The first line of a message, without what nobody outside may read.

    One that ends with a colon says nothing yet, so the next one follows.

    User and password of URIs, their queries (a presigned URL is a key), and the value of every
    variable that has a secret's name.
    """
    line, *more = [one.strip() for one in text.splitlines() if one.strip()] or [""]
    if line.endswith(":") and more:
        line = f"{line} {more[0]}"
    line = _QUERY.sub(r"\1?...", redacted(line))
    secrets = {
        value.strip()
        for name, value in (os.environ if environment is None else environment).items()
        if SECRET_NAME.search(name.upper()) and len(value.strip()) >= _SHORTEST_SECRET
    }
    for secret in sorted(secrets, key=len, reverse=True):
        line = line.replace(secret, "***")
    return line


def started(stage: str, store: str) -> None:
    """Say that a stage has begun: one that is killed says nothing any more."""
    _keep(stage, store, {"stage": stage, "status": "started", "message": ""})


def ended(stage: str, store: str, told: Told) -> None:
    """Say how a stage ended.

    Args:
        stage: its name.
        store: URI of the store that its config names.
        told: status, and what it made or why it failed.
    """
    directory = os.environ.get("GEOVR_RUN_LOG")
    if directory:
        write_atomic(Path(directory) / f"{stage}.json", json.dumps(told).encode())
    # a machine's directory is its user's; the store has more readers
    _keep(stage, store, told | {"message": first_line(str(told.get("message", "")))})


def read(store: str, run_id: str) -> dict[str, Told]:
    """Stage -> what it said last.

    Raises:
        UserError, StoreError: when the store can't be read.
    """
    directory = os.environ.get("GEOVR_RUN_LOG")
    if directory:
        files = sorted(Path(directory).glob("*.json"))
        return {path.stem: json.loads(path.read_text()) for path in files}
    place = Store.open(store)
    keys = place.keys(f"runs/{run_id}") if _RUN_ID.fullmatch(run_id) else []
    return {Path(key).stem: json.loads(place.get(key)) for key in keys}


def _keep(stage: str, store: str, told: Told) -> None:
    run_id = os.environ.get("GEOVR_RUN_ID", "")
    if not _RUN_ID.fullmatch(run_id):
        return
    try:
        Store.open(store).put(f"runs/{run_id}/{stage}.json", json.dumps(told).encode())
    except (StoreError, UserError, OSError) as error:
        log.warning("%s: a notification won't tell how it ended: %s", stage, error)
