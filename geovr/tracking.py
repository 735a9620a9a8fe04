"""Runs and the model registry, in MLflow.

A run is found again by its key, so a stage that is tried again goes on in the same run. Only
rank 0 talks to the server; the other ranks get a run that does nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from geovr import distributed
from geovr.errors import GateRefused, Interrupted, UserError
from geovr.home import home
from geovr.metric_spool import Point
from geovr.tracking_database import file_of, make_whole

KEY_TAG = "geovr.key"
PARENT_TAG = "mlflow.parentRunId"
"""By which MLflow shows a run below another."""
_FLUSH_SECONDS = 5.0
_MAX_PARAM = 500
_MAX_TAG = 4000


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a database in the work directory.

    User and password of a server's address go to the variables where MLflow expects them: it tells
    the address in its output and its errors.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return f"sqlite:///{home() / 'mlflow.db'}"
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and "@" in parts.netloc:
        os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(parts.username or ""))
        os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(parts.password or ""))
        uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        os.environ["MLFLOW_TRACKING_URI"] = uri
    return uri


def ping(timeout_s: float = 5.0) -> str:
    """Ask the tracking server, or its database, for something small; says what answered.

    Raises:
        Exception: whatever a server that doesn't answer, or refuses, makes MLflow raise.
    """
    uri = tracking_uri()
    database = file_of(uri)
    if database is not None and not database.exists():
        return f"{uri}, made at the first run"
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(round(timeout_s))
    client().search_experiments(max_results=1)
    return redacted(uri)


def client() -> Any:
    """An MLflow client on the tracking URI."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # to stdout, which is for --json
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # whoever can wait does so himself; the others want to know soon
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    make_whole(tracking_uri())
    return MlflowClient(tracking_uri=tracking_uri(), registry_uri=tracking_uri())


def _experiment_id(mlflow: Any, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # a server has its own artifact root; the laptop's database needs a place beside it
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    location = (home() / "mlflow-artifacts" / name).as_uri() if local else None
    try:
        return str(mlflow.create_experiment(name, artifact_location=location))
    except MlflowException:
        # another process made it in between
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


class Run:
    """One MLflow run. Metrics are sent in batches."""

    def __init__(self, mlflow: Any, run_id: str) -> None:
        self._mlflow, self.run_id = mlflow, run_id
        self._metrics: list[Any] = []
        self._flushed = time.monotonic()

    def log_params(self, params: dict[str, Any]) -> None:
        """Parameters; those the run has already stay as they are."""
        from mlflow.entities import Param

        known = self._mlflow.get_run(self.run_id).data.params
        new = [
            Param(name, str(value)[:_MAX_PARAM])
            for name, value in params.items()
            if name not in known
        ]
        for start in range(0, len(new), 100):
            self._mlflow.log_batch(self.run_id, params=new[start : start + 100])
        self.log_text(json.dumps(params, indent=2, sort_keys=True, default=str), "config.json")

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        """Metrics of a step; sent every few seconds and at the end."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics += [Metric(name, float(v), now, step) for name, v in metrics.items()]
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def log_results(self, metrics: dict[str, float]) -> None:
        """Metrics that are no curve; those the run tells already are not told again."""
        known = self._mlflow.get_run(self.run_id).data.metrics
        self.log_metrics({n: v for n, v in metrics.items() if n not in known or known[n] != v})

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._metrics = self._metrics, []
        for start in range(0, len(waiting), 1000):
            self._mlflow.log_batch(self.run_id, metrics=waiting[start : start + 1000])
        self._flushed = time.monotonic()

    def log_points(self, points: list[Point]) -> None:
        """Metrics of several steps with their times; steps are never torn apart."""
        from mlflow.entities import Metric

        batch: list[Any] = []
        for point in [*points, None]:
            new = (
                []
                if point is None
                else [
                    Metric(name, float(value), point.time_ms, point.step)
                    for name, value in point.metrics.items()
                ]
            )
            if batch and (point is None or len(batch) + len(new) > 1000):
                self._mlflow.log_batch(self.run_id, metrics=batch)
                batch = []
            batch += new

    def logged_steps(self, metric: str) -> set[int]:
        """Steps at which the server has a metric."""
        return {item.step for item in self._mlflow.get_metric_history(self.run_id, metric)}

    def log_artifact(self, path: Path, directory: str | None = None) -> None:
        """A file, or a directory with all in it."""
        if path.is_dir():
            self._mlflow.log_artifacts(self.run_id, str(path), directory)
        else:
            self._mlflow.log_artifact(self.run_id, str(path), directory)

    def log_text(self, text: str, name: str) -> None:
        """A text as an artifact."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / name
            path.write_text(text)
            self.log_artifact(path)

    def log_dataset(
        self, name: str, source_uri: str, digest: str, context: str, tags: dict[str, str]
    ) -> None:
        """A data set that the run read, with our content digest.

        MLflow looks for it in the experiment, then adds it: of runs that begin together with the
        same data, all but one are refused, and find it when they ask again.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        dataset = Dataset(
            name=name,
            digest=digest[:36],
            source_type="geovr",
            source=json.dumps({"uri": source_uri, "digest": digest}),
        )
        values = {"mlflow.data.context": context, "geovr.digest": digest, **tags}
        kept = [InputTag(key, value[:_MAX_TAG]) for key, value in values.items()]
        for tries_left in (2, 1, 0):
            try:
                self._mlflow.log_inputs(self.run_id, [DatasetInput(dataset, kept)])
                return
            except MlflowException as error:
                if error.error_code != "BAD_REQUEST" or not tries_left:
                    raise

    def set_tags(self, tags: dict[str, str]) -> None:
        """Tags, replacing those of the same names."""
        for name, value in tags.items():
            self._mlflow.set_tag(self.run_id, name, str(value)[:_MAX_TAG])


class _SilentRun(Run):
    """The run of the ranks that don't log."""

    def __init__(self) -> None:
        super().__init__(None, "")

    def log_params(self, params: dict[str, Any]) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        pass

    def log_results(self, metrics: dict[str, float]) -> None:
        pass

    def flush(self) -> None:
        pass

    def log_artifact(self, path: Path, directory: str | None = None) -> None:
        pass

    def log_dataset(
        self, name: str, source_uri: str, digest: str, context: str, tags: dict[str, str]
    ) -> None:
        pass

    def set_tags(self, tags: dict[str, str]) -> None:
        pass


@contextmanager
def run(experiment: str, name: str, key: str, tags: dict[str, str] | None = None) -> Iterator[Run]:
    """The run of an experiment that has this key, made when there is none.

    It ends FINISHED; FAILED when the block raises; KILLED when it was interrupted.
    """
    if distributed.rank() != 0:
        yield _SilentRun()
        return
    mlflow = client()
    with _open(mlflow, find_or_create(mlflow, experiment, name, key, tags)) as opened:
        yield opened


def find_or_create(
    mlflow: Any, experiment: str, name: str, key: str, tags: dict[str, str] | None
) -> str:
    """Id of the run of an experiment that has this key, made when there is none."""
    experiment_id = _experiment_id(mlflow, experiment)
    found = mlflow.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    made = mlflow.create_run(experiment_id, run_name=name, tags={KEY_TAG: key, **(tags or {})})
    return str(made.info.run_id)


@contextmanager
def reopen(run_id: str) -> Iterator[Run]:
    """A run that exists, by its id."""
    if distributed.rank() != 0:
        yield _SilentRun()
        return
    with _open(client(), run_id) as opened:
        yield opened


def parent_run(told: str | None) -> str | None:
    """The run that a training is part of, a sweep's: the one told, else GEOVR_PARENT_RUN.

    Raises:
        UserError: when the variable holds no run's id.
    """
    found = told or os.environ.get("GEOVR_PARENT_RUN") or None
    if found is not None and not re.fullmatch("[0-9a-f]{32}", found):
        raise UserError(
            f"GEOVR_PARENT_RUN={found}: not an MLflow run's id; `geovr runs sweep NAME` makes one"
        )
    return found


def run_of(run_id: str) -> Any:
    """A run as MLflow has it.

    Raises:
        UserError: when there is no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client().get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"{run_id}: no such run at {redacted(tracking_uri())}; MLFLOW_TRACKING_URI names"
            " another server"
        ) from None


def tags_of(run_id: str) -> dict[str, str]:
    """Tags of a run.

    Raises:
        UserError: when there is no such run.
    """
    return dict(run_of(run_id).data.tags)


@contextmanager
def _open(mlflow: Any, run_id: str) -> Iterator[Run]:
    mlflow.update_run(run_id, status="RUNNING")
    opened = Run(mlflow, run_id)
    status = "FAILED"
    try:
        yield opened
        status = "FINISHED"
    except GateRefused:
        # a gate that says no has done its work
        status = "FINISHED"
        raise
    except (KeyboardInterrupt, SystemExit, Interrupted):
        status = "KILLED"
        raise
    finally:
        opened.flush()
        mlflow.set_terminated(run_id, status)


def redacted(uri: str) -> str:
    """A URI without user and password."""
    return re.sub(r"//[^/@]*@", "//", uri)
