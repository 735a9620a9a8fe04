"""What a KFP server holds, in memory, and what its API does to it."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import urllib.parse
import uuid
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as kfp_api
import yaml

from tests.kfp_models import Refused, parse

GOING = ("PENDING", "RUNNING", "PAUSED")
SORTS = {"created_at", "display_name", "name"}
NEVER = datetime.fromtimestamp(0, UTC)
"""How KFP tells a time that it doesn't know."""


class State:
    """Everything by kind, in the order it was made.

    Attributes:
        most: items of a page.
    """

    def __init__(self) -> None:
        self.experiments: list[Any] = []
        self.pipelines: list[Any] = []
        self.versions: list[Any] = []
        self.runs: list[Any] = []
        self.schedules: list[Any] = []
        self.specs: dict[str, Any] = {}
        self.most = 200
        self.lock = threading.RLock()

    # what a test does, as a cluster would

    def finish(self, run: Any, state: str = "SUCCEEDED") -> None:
        """A run ends."""
        run.state, run.finished_at = state, _now()

    def task(self, run: Any, name: str, state: str, error: str | None = None) -> None:
        """A step of a run has a state."""
        details = run.run_details or kfp_api.V2beta1RunDetails(task_details=[])
        history = [kfp_api.V2beta1RuntimeStatus(update_time=_now(), state=state)]
        if error:
            history[0].error = kfp_api.GoogleRpcStatus(code=2, message=error)
        kept = [one for one in details.task_details if one.display_name != name]
        details.task_details = [
            *kept,
            kfp_api.V2beta1PipelineTaskDetail(
                run_id=run.run_id, task_id=str(uuid.uuid4()), display_name=name, state=state,
                create_time=_now(), start_time=_now(),
                end_time=NEVER if state in GOING else _now(), state_history=history,
            ),
        ]  # fmt: skip
        run.run_details = details

    def fire(self) -> list[Any]:
        """Its time has come: every enabled schedule starts a run, unless as many go on."""
        made = []
        for one in [one for one in self.schedules if one.status == "ENABLED"]:
            going = [
                run for run in self.runs
                if run.recurring_run_id == one.recurring_run_id and run.state in GOING
            ]  # fmt: skip
            if len(going) < int(one.max_concurrency):
                made.append(self._run(one, f"{one.display_name}-{len(self.runs)}", one))
        return made

    # what requests do

    def create_experiment(self, body: Any) -> Any:
        self._unique(self.experiments, body.display_name, "experiment")
        body.experiment_id, body.created_at = str(uuid.uuid4()), _now()
        body.storage_state = "AVAILABLE"
        self.experiments.append(body)
        return body

    def create_pipeline(self, body: Any) -> Any:
        body.name = body.name or body.display_name
        self._unique(self.pipelines, body.name, "pipeline")
        body.pipeline_id, body.created_at = str(uuid.uuid4()), _now()
        self.pipelines.append(body)
        return body

    def upload_version(self, file: bytes, query: dict[str, str]) -> Any:
        pipeline = _of(self.pipelines, "pipeline_id", query.get("pipelineid"))
        self._unique(self.of_pipeline(pipeline.pipeline_id), query.get("name"), "version")
        try:
            documents = list(yaml.safe_load_all(file))
            inputs = documents[0]["root"]["inputDefinitions"]["parameters"]
        except (yaml.YAMLError, KeyError, TypeError, IndexError):
            raise Refused("Failed to create a pipeline version as template is broken") from None
        version = kfp_api.V2beta1PipelineVersion(
            pipeline_id=pipeline.pipeline_id, pipeline_version_id=str(uuid.uuid4()),
            name=query["name"], display_name=query.get("display_name") or query["name"],
            description=query.get("description"), created_at=_now(),
        )  # fmt: skip
        self.specs[version.pipeline_version_id] = inputs
        self.versions.append(version)
        return version

    def of_pipeline(self, pipeline: str) -> list[Any]:
        return [one for one in self.versions if one.pipeline_id == pipeline]

    def create_run(self, body: Any) -> Any:
        self._check_source(body)
        return self._run(body, body.display_name, None)

    def _run(self, body: Any, name: str, schedule: Any) -> Any:
        run = kfp_api.V2beta1Run(
            run_id=str(uuid.uuid4()), display_name=name, experiment_id=body.experiment_id,
            description=body.description, service_account=body.service_account,
            pipeline_version_reference=body.pipeline_version_reference,
            runtime_config=body.runtime_config, state="PENDING", storage_state="AVAILABLE",
            created_at=_now(), scheduled_at=_now(), finished_at=NEVER,
            recurring_run_id=schedule.recurring_run_id if schedule else None,
        )  # fmt: skip
        self.runs.append(run)
        return run

    def get_run(self, run_id: str) -> Any:
        run = _of(self.runs, "run_id", run_id)
        if run.state == "CANCELING":  # its pods have ended by now
            self.finish(run, "CANCELED")
        return run

    def terminate(self, run_id: str) -> None:
        run = _of(self.runs, "run_id", run_id)
        if run.state not in GOING:
            raise Refused(f"Failed to terminate a run {run_id}. Row not found")
        run.state = "CANCELING"

    def create_schedule(self, body: Any) -> Any:
        self._check_source(body)
        if not 1 <= int(body.max_concurrency) <= 10:
            raise Refused("Max concurrency of a recurring run must be at least 1 and at most 10")
        cron = body.trigger.cron_schedule
        if cron is not None and len(cron.cron.split()) not in (5, 6):
            raise Refused("Schedule cron is not a supported format")
        body.recurring_run_id, body.created_at, body.updated_at = str(uuid.uuid4()), _now(), _now()
        body.status = "ENABLED" if body.mode == "ENABLE" else "DISABLED"
        self.schedules.append(body)
        return body

    def switch(self, schedule_id: str, enable: bool) -> None:
        schedule = _of(self.schedules, "recurring_run_id", schedule_id)
        schedule.status = "ENABLED" if enable else "DISABLED"
        schedule.mode = "ENABLE" if enable else "DISABLE"

    def delete_schedule(self, schedule_id: str, propagation: str | None) -> None:
        schedule = _of(self.schedules, "recurring_run_id", schedule_id)
        self.schedules.remove(schedule)
        for run in self.runs:
            owned = run.recurring_run_id == schedule_id and run.state in GOING
            if owned and propagation != "ORPHAN":  # Kubernetes deletes what it owned
                self.finish(run, "FAILED")

    def listed(self, items: list[Any], query: dict[str, str]) -> tuple[list[Any], str | None]:
        """A page of what a request asks for, and the token of the next one."""
        token, criteria = query.get("page_token"), [query.get("filter"), query.get("sort_by")]
        start = 0
        if token:
            start, *kept = json.loads(base64.b64decode(token))
            if kept != criteria:
                raise Refused("page token does not match the supplied sort by and/or filtering")
        found = [one for one in items if _matches(one, query.get("filter"))]
        field, _, direction = (query.get("sort_by") or "created_at").partition(" ")
        if field not in SORTS or direction not in ("", "asc", "desc"):
            raise Refused(f"Invalid sorting field: {field} {direction}")
        found.sort(key=lambda one: getattr(one, field), reverse=direction == "desc")
        size = int(query.get("page_size") or 20)
        if size < 0:
            raise Refused("The page size should be greater than 0")
        end = start + min(size, self.most)
        more = base64.b64encode(json.dumps([end, *criteria]).encode()).decode()
        return found[start:end], more if end < len(found) else None

    def _check_source(self, body: Any) -> None:
        _of(self.experiments, "experiment_id", body.experiment_id)
        reference = body.pipeline_version_reference
        version = _of(self.versions, "pipeline_version_id", reference.pipeline_version_id)
        if version.pipeline_id != reference.pipeline_id:
            raise Refused("the version is of another pipeline")
        needed = self.specs[version.pipeline_version_id]
        given = (body.runtime_config and body.runtime_config.parameters) or {}
        for name, told in needed.items():
            if name not in given and not told.get("isOptional"):
                raise Refused(f"parameter {name} is not optional, yet has no value")
            if told["parameterType"] == "STRING" and not isinstance(given[name], str):
                raise Refused(f"input parameter {name} requires type string")
        if set(given) - set(needed):
            raise Refused(f"parameters are not in the pipeline: {set(given) - set(needed)}")

    def _unique(self, items: list[Any], name: str | None, kind: str) -> None:
        if not name:
            raise Refused(f"The {kind}'s name is empty")
        if any(name in (getattr(one, "name", None), one.display_name) for one in items):
            raise Refused(f"The {kind} {name} already exists", 409)


def _now() -> datetime:
    return datetime.fromtimestamp(int(time.time()), UTC)


def _of(items: list[Any], field: str, wanted: str | None) -> Any:
    found = next((one for one in items if wanted and getattr(one, field) == wanted), None)
    if found is None:
        raise Refused(f"{field} {wanted} not found", 404)
    return found


def _matches(item: Any, text: str | None) -> bool:
    """A filter, as far as it is used: names, compared as MySQL does."""
    if not text:
        return True
    try:
        data = json.loads(urllib.parse.unquote_plus(text))
    except ValueError:
        raise Refused(f"failed to parse valid filter from {text!r}") from None
    for predicate in parse("V2beta1Filter", data, "filter").predicates:
        name = getattr(item, "display_name").casefold()  # noqa: B009
        wanted = predicate.string_value
        if predicate.key != "display_name" or wanted is None:
            raise Refused(f"no support for filtering on field {predicate.key!r} here")
        if predicate.operation == "EQUALS":
            if name != wanted.casefold():
                return False
        elif predicate.operation == "IS_SUBSTRING":
            like = re.escape(wanted.casefold()).replace("%", ".*").replace("_", ".")
            if re.search(like, name) is None:
                return False
        else:
            raise Refused(f"{predicate.operation} is not known here")
    return True
