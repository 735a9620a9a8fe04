"""KFP's models as a contract: what a request must be, judged by kfp_server_api's own definitions.

The generated models know names, types and enums; the comments of KFP's protos say which fields are
required and which only the server sets (REQUIRED, OUTPUT).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import kfp_server_api as kfp_api

OUTPUT = {
    "V2beta1Run": {
        "run_id", "storage_state", "created_at", "scheduled_at", "finished_at", "state", "error",
        "run_details", "recurring_run_id", "state_history", "plugins_output",
        "pipeline_version_id",
    },
    "V2beta1RecurringRun": {
        "recurring_run_id", "created_at", "updated_at", "status", "error", "namespace",
        "pipeline_version_id",
    },
    "V2beta1Pipeline": {"pipeline_id", "created_at", "error"},
    "V2beta1Experiment": {"experiment_id", "created_at", "storage_state", "last_run_created_at"},
}  # fmt: skip
"""Set by the server, or deprecated: a request with them is refused here."""
REQUIRED = {
    "V2beta1Run": [("display_name",), ("pipeline_version_reference", "pipeline_spec")],
    "V2beta1RecurringRun": [
        ("display_name",), ("pipeline_version_reference", "pipeline_spec"), ("trigger",),
        ("max_concurrency",), ("mode",),
    ],
    "V2beta1Pipeline": [("name", "display_name")],
    "V2beta1Experiment": [("display_name",)],
    "V2beta1PipelineVersionReference": [("pipeline_id",), ("pipeline_version_id",)],
    "V2beta1Trigger": [("cron_schedule", "periodic_schedule")],
    "V2beta1CronSchedule": [("cron",)],
    "V2beta1PeriodicSchedule": [("interval_second",)],
    "V2beta1Predicate": [("operation",), ("key",)],
}  # fmt: skip
"""Of each group at least one; of those that protos have as a `oneof`, exactly one."""
ONE_OF = {
    "V2beta1Run": {"pipeline_version_reference", "pipeline_spec"},
    "V2beta1RecurringRun": {"pipeline_version_reference", "pipeline_spec"},
    "V2beta1Trigger": {"cron_schedule", "periodic_schedule"},
}
LONGS = {"max_concurrency", "interval_second"}
"""int64: strings in JSON, of digits."""


class Refused(Exception):
    """A request that the API refuses; the status is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parse(model: str, data: Any, where: str = "body") -> Any:
    """The model of a JSON value.

    Raises:
        Refused: for an unknown, missing, misplaced or mistyped field.
    """
    cls = getattr(kfp_api, model)
    allowed = getattr(cls, "allowable_values", None)
    if allowed is not None:
        if data not in allowed:
            raise Refused(f"{where}: {data!r} is none of {', '.join(allowed)}")
        return data
    if not isinstance(data, dict):
        raise Refused(f"{where}: expected an object of {model}")
    attributes = {key: name for name, key in cls.attribute_map.items()}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in attributes:
            raise Refused(f'{where}: unknown field "{key}" of {model}')
        name = attributes[key]
        if name in OUTPUT.get(model, ()):
            raise Refused(f"{where}.{key}: is set by the server, or deprecated")
        values[name] = _value(cls.openapi_types[name], value, f"{where}.{key}")
    for group in REQUIRED.get(model, []):
        if not any(values.get(name) for name in group):
            raise Refused(f"{where}: {' or '.join(group)} of {model} is required")
    if len(ONE_OF.get(model, set()) & set(values)) > 1:
        raise Refused(f"{where}: only one of {', '.join(sorted(ONE_OF[model]))} may be set")
    return cls(**values)


def _value(kind: str, value: Any, where: str) -> Any:
    if kind.startswith("list["):
        if not isinstance(value, list):
            raise Refused(f"{where}: expected a list")
        return [_value(kind[5:-1], one, f"{where}[{i}]") for i, one in enumerate(value)]
    if kind.startswith("dict("):
        if not isinstance(value, dict):
            raise Refused(f"{where}: expected a map")
        inner = kind[5:-1].partition(", ")[2]
        return {key: _value(inner, one, f"{where}.{key}") for key, one in value.items()}
    if kind == "object":
        return value
    if kind == "datetime":
        return _moment(value, where)
    plain: type | None = {"str": str, "int": int, "bool": bool, "float": float}.get(kind)
    if plain is None:
        return parse(kind, value, where)
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise Refused(f"{where}: {value!r} is no {kind}")
    if where.rpartition(".")[2] in LONGS and not str(value).isdecimal():
        raise Refused(f"{where}: {value!r} is no whole number")
    return value


def _moment(value: Any, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Refused(f"{where}: {value!r} is no time") from None
    if moment.tzinfo is None:
        raise Refused(f"{where}: {value!r} has no zone")
    return moment


def answer(model: Any) -> Any:
    """A model as JSON."""
    return kfp_api.ApiClient().sanitize_for_serialization(model)
