"""The report of a run, from what names it: an artifact, a directory, an MLflow run."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import Any

from geovr import records, tracking
from geovr.artifacts import Artifact, Checkpoint, EvalReport, Kind, Manifest
from geovr.errors import Interrupted, UserError
from geovr.report.config import ReportConfig
from geovr.report.gather import KINDS, gather, judged_in
from geovr.storage import Store, localise, write_atomic

log = logging.getLogger("geovr")

STORE_TAG, OF_TAG = "geovr.store", "geovr.report_of"
"""Of an MLflow run: the store that holds its records, and what the report is of: kind/digest."""
_ROOTS: tuple[Kind, ...] = ("ModelVersion", "EvalReport", "Checkpoint")


def make_report(
    config: ReportConfig,
    root: Artifact,
    at_hand: tuple[Artifact, ...] = (),
    decision: dict[str, Any] | None = None,
    judged: dict[str, Any] | None = None,
) -> bytes:
    """The page of the run that made an artifact.

    Args:
        config: what it shows.
        root: a ModelVersion, EvalReport or Checkpoint.
        at_hand: artifacts of the run that are open already.
        decision: of a registration that is not an artifact yet; as in a ModelVersion's details.
        judged: what it was made on; as in decision.json.
    """
    from geovr.report.page import make_page

    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        run = gather(root, Path(scratch), at_hand)
        if decision is not None:
            run.decision, run.judged = decision, judged
        return make_page(run, config)


def report_of_registration(
    config: ReportConfig,
    checkpoint: Checkpoint,
    evaluation: EvalReport,
    decision: dict[str, Any],
    directory: Path,
    run_tags: dict[str, str],
) -> None:
    """Write report.html beside a registration's other files, and log it to the training's run.

    A page that can't be made doesn't undo a registration: the log says why there is none.
    """
    path = directory / "report.html"
    path.unlink(missing_ok=True)
    try:
        page = make_report(config, evaluation, (checkpoint,), decision, judged_in(directory))
        write_atomic(path, page)
        with tracking.reopen(checkpoint.manifest.details["mlflow_run_id"]) as run:
            run.log_artifact(path, "report")
            run.set_tags(run_tags)
    except Interrupted:
        raise
    except Exception as error:
        log.warning(
            "register: registered, but without all of its report: %s: %s; `geovr report %s` makes"
            " it again",
            type(error).__name__, error, directory,
        )  # fmt: skip
    else:
        log.info("register: report %s", path)


def report_tags(store: str, kind: Kind, digest: str) -> dict[str, str]:
    """Tags of an MLflow run by which `geovr report` finds what it is to show."""
    return {STORE_TAG: store, OF_TAG: f"{kind}/{digest}"}


def open_root(run: str, scratch: Path) -> Artifact:
    """What a user names: an artifact's directory or s3:// URI, or an MLflow run's id.

    Args:
        run: the name.
        scratch: directory for what comes from a store.

    Raises:
        UserError: when it names nothing that a report can be made of.
    """
    if re.fullmatch("[0-9a-f]{32}", run) and not Path(run).exists():
        return _of_mlflow_run(run, scratch)
    place = localise(run)
    path = place / "manifest.json"
    if not path.is_file():
        raise UserError(
            f"{run}: no manifest.json; give an MLflow run's id, or the directory or s3:// URI of"
            " what register or evaluate wrote"
        )
    try:
        kind = Manifest.model_validate_json(path.read_bytes()).kind
    except ValueError as error:
        raise UserError(f"{path}: not a manifest this version reads: {error}") from None
    if kind not in _ROOTS:
        raise UserError(f"{run}: this is a {kind}; give one of {', '.join(_ROOTS)}")
    return KINDS[kind].load(place)


def _of_mlflow_run(run_id: str, scratch: Path) -> Artifact:
    found = tracking.tags_of(run_id)
    store = found.get(STORE_TAG)
    name, _, digest = found.get(OF_TAG, "").partition("/")
    kind = next((root for root in _ROOTS if root == name), None)
    if store is None or kind is None:
        raise UserError(
            f"{run_id}: this MLflow run names no evaluation: it is not a training's, nothing was"
            " evaluated yet, or it is older than reports; give the directory that register or"
            " evaluate wrote"
        )
    kept = records.find([Store.open(store)], kind, digest)
    if kept is None:
        raise UserError(
            f"{run_id}: no record of its {kind} in {store}; give the directory that register or"
            " evaluate wrote"
        )
    return kept.open(KINDS[kind], scratch / "root")
