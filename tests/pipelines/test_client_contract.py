"""The server of these tests holds requests to kfp_server_api's models, and refuses the rest."""

from __future__ import annotations

import copy
import importlib.metadata
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import kfp_server_api as kfp_api
import pytest
from packaging.version import Version

from tests.kfp_models import OUTPUT, REQUIRED
from tests.pipelines.cluster import Cluster
from tests.pipelines.conftest import TOKEN


def post(cluster: Cluster, path: str, body: Any, method: str = "POST") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{cluster.server.url}/apis/v2beta1{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"authorization": f"Bearer {TOKEN}"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def bodies(cluster: Cluster) -> dict[str, Any]:
    """The requests that the commands send: path -> body."""
    cluster.submit()
    cluster.schedule()
    return {
        path.rpartition("/")[2]: body
        for method, path, _, body in cluster.server.requests
        if method == "POST" and body
    }


def test_what_is_sent_is_taken(cluster: Cluster, bodies: dict[str, Any]) -> None:
    assert set(bodies) == {"experiments", "pipelines", "runs", "recurringruns"}
    status, answer = post(cluster, "/runs", bodies["runs"])
    assert status == 200 and answer["state"] == "PENDING" and answer["run_id"]


WRONG: list[tuple[str, str, Callable[[Any], Any], str]] = [
    ("unknown field", "runs", lambda b: b.update(name="x"), 'unknown field "name"'),
    ("nested unknown", "runs", lambda b: b["runtime_config"].update(params={}), "params"),
    ("camel case", "runs", lambda b: b.update(displayName=b.pop("display_name")), "displayName"),
    ("missing name", "runs", lambda b: b.pop("display_name"), "display_name .*required"),
    ("empty name", "runs", lambda b: b.update(display_name=""), "display_name .*required"),
    ("no source", "runs", lambda b: b.pop("pipeline_version_reference"), "required"),
    (
        "half a source", "runs",
        lambda b: b["pipeline_version_reference"].pop("pipeline_version_id"), "required",
    ),
    ("two sources", "runs", lambda b: b.update(pipeline_spec={"a": 1}), "only one of"),
    ("output field", "runs", lambda b: b.update(run_id="x"), "set by the server"),
    ("state", "runs", lambda b: b.update(state="SUCCEEDED"), "set by the server"),
    ("wrong type", "runs", lambda b: b.update(description=3), "3 is no str"),
    ("no map", "runs", lambda b: b["runtime_config"].update(parameters=[]), "expected a map"),
    (
        "parameter missing", "runs", lambda b: b["runtime_config"]["parameters"].pop("train"),
        "train is not optional",
    ),
    (
        "parameter unknown", "runs", lambda b: b["runtime_config"]["parameters"].update(x="1"),
        "not in the pipeline",
    ),
    (
        "parameter type", "runs", lambda b: b["runtime_config"]["parameters"].update(train={}),
        "requires type string",
    ),
    ("wrong enum", "recurringruns", lambda b: b.update(mode="ON"), "'ON' is none of"),
    ("no mode", "recurringruns", lambda b: b.pop("mode"), "mode .*required"),
    ("status", "recurringruns", lambda b: b.update(status="ENABLED"), "set by the server"),
    ("int64", "recurringruns", lambda b: b.update(max_concurrency=1), "1 is no str"),
    ("no number", "recurringruns", lambda b: b.update(max_concurrency="one"), "no whole number"),
    ("too many", "recurringruns", lambda b: b.update(max_concurrency="11"), "at most 10"),
    ("no trigger", "recurringruns", lambda b: b.update(trigger={}), "cron_schedule or .*required"),
    (
        "two triggers", "recurringruns",
        lambda b: b["trigger"].update(periodic_schedule={"interval_second": "60"}), "only one of",
    ),
    (
        "no date", "recurringruns",
        lambda b: b["trigger"]["cron_schedule"].update(start_time="tomorrow"), "is no time",
    ),
    (
        "no zone", "recurringruns",
        lambda b: b["trigger"]["cron_schedule"].update(start_time="2026-01-01T00:00:00"), "zone",
    ),
    (
        "no cron", "recurringruns",
        lambda b: b["trigger"]["cron_schedule"].update(cron="daily"), "supported format",
    ),
    ("bool", "recurringruns", lambda b: b.update(no_catchup="yes"), "'yes' is no bool"),
    ("name taken", "pipelines", lambda b: None, "already exists"),
    ("name taken", "experiments", lambda b: None, "already exists"),
    ("no object", "experiments", lambda b: b.clear(), "required"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "change", "words"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG]
)
def test_what_kfp_would_refuse_is_refused_in_its_form(
    cluster: Cluster, bodies: dict[str, Any], where: str, change: Callable[[Any], Any], words: str
) -> None:
    body = copy.deepcopy(bodies[where])
    change(body)
    status, answer = post(cluster, f"/{where}", body)
    assert status in (400, 409)
    assert set(answer) == {"error", "code", "message", "details"}
    assert re.search(words, answer["message"]), answer["message"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/runs?limit=3", "unknown parameter 'limit'"),
        ("/runs?experiment_id=x", "not found"),
        ("/runs?sort_by=state", "Invalid sorting field"),
        ("/runs?filter=x", "failed to parse"),
        ("/runs?filter=%7B%22predicates%22%3A%5B%7B%22operation%22%3A%22LIKE%22%7D%5D%7D", "LIKE"),
        ("/runs?page_size=-1", "page size"),
        ("/jobs", "nothing of this API"),
    ],
)
def test_lists_are_as_strict(
    cluster: Cluster, bodies: dict[str, Any], path: str, words: str
) -> None:
    status, answer = post(cluster, path, None, "GET")
    assert status in (400, 404) and words in answer["message"]


def test_a_page_token_belongs_to_its_list(cluster: Cluster, bodies: dict[str, Any]) -> None:
    for number in range(3):
        post(cluster, "/experiments", {"display_name": f"e{number}"})
    _, first = post(cluster, "/experiments?page_size=2", None, "GET")
    token = first["next_page_token"]
    _, second = post(cluster, f"/experiments?page_size=2&page_token={token}", None, "GET")
    names = [one["display_name"] for one in first["experiments"] + second["experiments"]]
    assert names == ["geovr", "e0", "e1", "e2"] and "next_page_token" not in second
    status, _ = post(cluster, f"/experiments?sort_by=name&page_token={token}", None, "GET")
    assert status == 400


def test_the_rules_name_fields_of_the_installed_models() -> None:
    for model, groups in REQUIRED.items():
        known = set(getattr(kfp_api, model).openapi_types)
        assert {name for group in groups for name in group} <= known, model
    for model, names in OUTPUT.items():
        assert names <= set(getattr(kfp_api, model).openapi_types), model
    version = Version(importlib.metadata.version("kfp-server-api"))
    assert version.release[:2] == Version(importlib.metadata.version("kfp")).release[:2]
