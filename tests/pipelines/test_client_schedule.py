"""schedule: one of a name, replaced without two ever at work, healed after a kill."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from geovr.errors import UserError
from pipelines.client.cron import check_cron, check_interval
from tests.kfp_server import failing, lost
from tests.pipelines.cluster import Cluster
from tests.workspace import REPOSITORY

OTHER = "registry.example/geovr/cpu@sha256:" + "b" * 64


class Killed(BaseException):
    """The process is gone."""


def enabled(cluster: Cluster) -> list[Any]:
    return [one for one in cluster.state.schedules if one.status == "ENABLED"]


def test_a_schedule_pins_the_version_runs_one_at_a_time_and_catches_up_on_nothing(
    cluster: Cluster,
) -> None:
    told = cluster.schedule(
        "--name", "nightly", "--start", "2026-12-01T00:00:00+01:00", "--end",
        "2027-12-01T00:00:00Z", "--json",
    )  # fmt: skip
    assert told.code == 0 and told.json["action"] == "created", told.err
    (one,) = cluster.state.schedules
    (version,) = cluster.state.versions
    assert one.display_name == "nightly" and one.status == "ENABLED"
    assert one.max_concurrency == "1" and one.no_catchup is True
    assert one.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert one.service_account == "geovr-pipeline"
    cron = one.trigger.cron_schedule
    assert cron.cron == "0 0 2 * * *" and cron.start_time.isoformat() == "2026-12-01T00:00:00+01:00"
    assert told.json["schedule"]["enabled"] is True
    (first,) = cluster.state.fire()
    assert cluster.state.fire() == [], "the first one goes on"
    assert json.loads(first.runtime_config.parameters["train"])["steps"] == 1


def test_the_same_schedule_again_changes_nothing(cluster: Cluster) -> None:
    for arguments in ([], ["--interval", "6h", "--name", "other", "--disabled"]):
        cluster.schedule(*arguments)
        written = len(cluster.server.written())
        assert cluster.schedule("--json", *arguments).json["action"] == "unchanged"
        assert len(cluster.server.written()) == written
    assert cluster.state.schedules[1].trigger.periodic_schedule.interval_second == "21600"
    assert cluster.state.schedules[1].status == "DISABLED"


@pytest.mark.parametrize(
    "change",
    [
        ["--cron", "0 30 2 * * *"],
        ["--interval", "1d"],
        ["--set", "train.steps=2"],
        ["--service-account", "other"],
        ["--pipeline-root", "s3://b/r"],
        ["--end", "2030-01-01T00:00:00Z"],
        ["images"],
    ],
    ids=" ".join,
)
def test_another_one_takes_the_old_ones_place_and_its_run_goes_on(
    cluster: Cluster, change: list[str]
) -> None:
    cluster.schedule()
    (old,) = cluster.state.schedules
    (run,) = cluster.state.fire()
    if change == ["images"]:
        cluster.images(OTHER)
        change = []
    told = cluster.schedule("--json", *change)
    assert told.json["action"] == "replaced", told.err
    (new,) = cluster.state.schedules
    assert new.recurring_run_id != old.recurring_run_id and new.status == "ENABLED"
    assert run.state == "PENDING"


def test_it_is_switched_on_and_off_without_being_replaced(cluster: Cluster) -> None:
    cluster.schedule()
    (one,) = cluster.state.schedules
    assert cluster.schedule("--json", "--disabled").json["action"] == "disabled"
    assert enabled(cluster) == []
    assert cluster.schedule("--json").json["action"] == "enabled"
    assert cluster.state.schedules == [one] == enabled(cluster)


@pytest.mark.parametrize("killed_at", range(12))
def test_a_replacement_that_is_killed_anywhere_is_finished_by_the_same_command(
    cluster: Cluster, killed_at: int
) -> None:
    cluster.schedule()
    cluster.images(OTHER)
    atwork = []

    def after(method: str, path: str) -> None:
        atwork.append(len(enabled(cluster)))

    cluster.server.after = after
    from pipelines.client.server import Server

    real, asked = Server.ask, 0

    def ask(self: Server, *args: Any, **values: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > killed_at:
            raise Killed
        return real(self, *args, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Server, "ask", ask)
        try:
            cluster.schedule()
        except Killed:
            assert asked == killed_at + 1
    assert max(atwork, default=0) <= 1, "two are never at work"
    told = cluster.schedule("--json")
    assert told.code == 0, told.err
    (one,) = cluster.state.schedules
    assert enabled(cluster) == [one] and max(atwork) <= 1
    newest = cluster.state.versions[-1].pipeline_version_id
    assert one.pipeline_version_reference.pipeline_version_id == newest


@pytest.mark.parametrize("lost_at", range(12))
def test_any_one_answer_may_be_lost(cluster: Cluster, lost_at: int) -> None:
    cluster.schedule()
    cluster.images(OTHER)
    cluster.server.faults = [*[None] * lost_at, lost]
    assert cluster.schedule().code == 0
    assert len(cluster.state.schedules) == len(enabled(cluster)) == 1


def test_a_creation_that_fails_leaves_the_old_one_at_work(cluster: Cluster) -> None:
    cluster.schedule()
    (old,) = cluster.state.schedules

    def before(method: str, path: str) -> None:
        if (method, path.rpartition("/")[2]) == ("POST", "recurringruns"):
            cluster.server.faults = [failing(503)]

    cluster.server.before = before
    told = cluster.schedule("--cron", "0 0 3 * * *")
    assert told.code == 75 and "503" in told.err and "same command" in told.err
    assert cluster.state.schedules == [old] == enabled(cluster)


def test_more_than_one_of_a_name_are_reduced_to_one(cluster: Cluster) -> None:
    from copy import copy

    cluster.schedule()
    (one,) = cluster.state.schedules
    for number in range(2):
        double = copy(one)
        double.recurring_run_id = f"{number}" * 8 + one.recurring_run_id[8:]
        cluster.state.schedules.append(double)
    assert cluster.schedule("--json").json["action"] == "replaced"
    assert len(cluster.state.schedules) == len(enabled(cluster)) == 1


def test_two_at_once_end_with_one(cluster: Cluster) -> None:
    """The other one makes its own, of the same, between our look and our creation."""
    cluster.schedule("--cron", "0 0 1 * * *")
    told = []

    def before(method: str, path: str) -> None:
        if (method, path.rpartition("/")[2]) == ("POST", "recurringruns") and not told:
            told.append(None)
            told[0] = cluster.schedule()

    cluster.server.before = before
    # in this thread the server's thread runs the other command, to its end
    assert cluster.schedule("--json").code == 0
    assert len(cluster.state.schedules) == len(enabled(cluster)) == 1


def test_list_and_delete_by_name(cluster: Cluster) -> None:
    assert "no schedules" in cluster("schedule", "--list").out
    cluster.schedule("--name", "nightly")
    cluster.schedule("--name", "hourly", "--interval", "1h")
    listed = cluster("schedule", "--list", "--json").json["schedules"]
    assert [(one["name"], one["cron"], one["interval_seconds"]) for one in listed] == [
        ("hourly", None, 3600), ("nightly", "0 0 2 * * *", None),
    ]  # fmt: skip
    assert "every 60 min 0 s" in cluster("schedule", "--list").out
    (run,) = [one for one in cluster.state.fire() if one.display_name.startswith("nightly")]
    assert "would be deleted" in cluster("schedule", "--delete", "nightly", "--dry-run").out
    assert len(cluster.state.schedules) == 2
    assert "deleted" in cluster("schedule", "--delete", "nightly").out
    assert [one.display_name for one in cluster.state.schedules] == ["hourly"]
    assert run.state == "PENDING", "its runs go on"
    again = cluster("schedule", "--delete", "nightly")
    assert again.code == 0 and "there is none" in again.out


def test_without_images_a_schedule_is_shown_and_not_made(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m pipelines schedule --cron "0 0 2 * * *" --dry-run` in a checkout, no server."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.delenv("KFP_ENDPOINT")
    told = cluster("schedule", "--cron", "0 0 2 * * *", "--dry-run")
    assert told.code == 0, told.err
    assert "warning: no image for" in told.err
    requests = yaml.safe_load(told.out)
    assert [f"{one['method']} {one['path']}" for one in requests] == [
        "POST /apis/v2beta1/experiments",
        "POST /apis/v2beta1/pipelines",
        "POST /apis/v2beta1/pipelines/upload_version",
        "POST /apis/v2beta1/recurringruns",
        "POST /apis/v2beta1/recurringruns/<recurring_run_id>:enable",
    ]
    body = requests[3]["body"]
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert (body["no_catchup"], body["max_concurrency"]) == (True, "1")
    assert body["display_name"] == "geovr" and body["service_account"] == "geovr-pipeline"
    assert cluster.server.requests == []
    real = cluster("schedule", "--cron", "0 0 2 * * *")
    assert real.code == 2 and "KFP_ENDPOINT" in real.err
    real = cluster("schedule", "--cron", "0 0 2 * * *", "--host", cluster.server.url)
    assert real.code == 2 and "--images" in real.err and cluster.server.requests == []


@pytest.mark.parametrize(
    "cron", ["0 0 2 * * *", "*/10 5,35 0-6/2 1 JAN,jun ? ", "0 0 2 ? * MON-fri", "0 5/15 * * * 6"]
)
def test_crons_that_kfp_understands(cron: str) -> None:
    assert check_cron(cron) == " ".join(cron.split())


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * * *", 'five fields.*write "0 0 2 \\* \\* \\*"'),
        ("@daily", "1 fields; give six"),
        ("0 0 2 * * * *", "7 fields"),
        ("0 60 2 * * *", "minute: '60': 60 is out of range; it takes 0 to 59"),
        ("0 0 2 0 * *", "day of month: '0'"),
        ("0 0 2 * * 7", "day of week: '7': 7 is out of range; it takes 0 to 6 or sun to sat"),
        ("0 0 2 * 13 *", "month: '13'"),
        ("0 0 6-2 * * *", "hour: '6-2': ends before it begins"),
        ("0 0 */0 * * *", "hour: .*0 is no step"),
        ("0 0 2 * FOO *", "month: 'FOO': foo is no number"),
        ("0 0 2,, * * *", "hour: '': can't be read"),
        ("0 0 *-3 * * *", "hour: .*can't be read"),
        ("-1 0 2 * * *", "second: '-1': can't be read"),
    ],
)
def test_crons_that_are_none_are_named_with_the_field(cron: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_cron(cron)


def test_intervals() -> None:
    assert [check_interval(text) for text in ("90s", "30m", "6h", "1d", "1w")] == [
        90, 1800, 21600, 86400, 604800,
    ]  # fmt: skip
    for text in ("6", "0h", "-1h", "1.5h", "1y", ""):
        with pytest.raises(UserError, match="give a number and a unit"):
            check_interval(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cron", "0 2 * * *"], "five fields"),
        (["--cron", "0 0 2 * * *", "--interval", "6h"], "give one of"),
        ([], "give one of"),
        (["--list", "--delete", "x"], "give one of"),
        (["--interval", "6h", "--start", "2026-12-01"], "in which zone"),
        (["--interval", "6h", "--start", "tomorrow"], "--start tomorrow: give a moment"),
        (
            ["--interval", "6h", "--start", "2026-12-02T00:00Z", "--end", "2026-12-01T00:00Z"],
            "is not after --start",
        ),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(
    cluster: Cluster, arguments: list[str], words: str
) -> None:
    told = cluster("schedule", "--images", "images.json", *arguments)
    assert told.code == 2 and words in told.err
    assert cluster.server.requests == []
