"""The window of time that a scheduled run takes its data from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from geovr.artifacts import ClipSet
from geovr.config import validate
from geovr.errors import UserError
from geovr.ingesting.config import IngestConfig
from geovr.ingesting.window import WindowConfig, window_at
from geovr.launch import run_component
from geovr.stages.ingest import ingest
from tests.media import write_video
from tests.stages.test_ingest import EIGHT, lines, question
from tests.workspace import Workspace

YESTERDAY = "2026-11-27T02:00:00Z"


@pytest.mark.parametrize(
    ("scheduled", "every", "start", "end"),
    [
        (YESTERDAY, "1d", "2026-11-26T00", "2026-11-27T00"),
        ("2026-11-27T00:00:00Z", "1d", "2026-11-26T00", "2026-11-27T00"),
        ("2026-11-26T23:59:59Z", "1d", "2026-11-25T00", "2026-11-26T00"),
        ("2026-11-27T01:30:00+03:00", "1d", "2026-11-25T00", "2026-11-26T00"),
        ("2026-11-27T13:05:00Z", "6h", "2026-11-27T06", "2026-11-27T12"),
        ("2026-11-27T13:05:00Z", "7d", "2026-11-16T00", "2026-11-23T00"),  # Mondays
        ("20261127020000", "1d", "2026-11-26T00", "2026-11-27T00"),  # [[ScheduledTime]]
        ("1969-12-31T23:00:00Z", "1d", "1969-12-30T00", "1969-12-31T00"),
    ],
)
def test_the_end_is_the_scheduled_time_floored(
    scheduled: str, every: str, start: str, end: str
) -> None:
    window = window_at(scheduled, WindowConfig(every=every))
    assert f"{window.start:%Y-%m-%dT%H}" == start and f"{window.end:%Y-%m-%dT%H}" == end
    assert window.start.utcoffset() == window.end.utcoffset() and str(window.end)[-6:] == "+00:00"


def refused(**values: Any) -> str:
    with pytest.raises(UserError) as error:
        validate(IngestConfig, {"videos": "x"} | values, source="params.yaml")
    return str(error.value)


def test_what_is_no_window_or_no_time_is_refused() -> None:
    assert "write a number of days as 1d" in refused(window={"every": "1 day"})
    assert "hours must divide a day" in refused(window={"every": "5h"})
    assert "window.evry: unknown key; did you mean 'every'" in refused(
        window={"every": "1d", "evry": 1}
    )
    assert "no time with a zone" in refused(scheduled="2026-11-27T02:00:00")
    assert "no time with a zone" in refused(scheduled="tomorrow")
    assert "for recurring runs alone" in refused(scheduled="[[ScheduledTime]]")


def folder(root: Path) -> dict[str, Any]:
    """Videos of two days, and a question about each."""
    for day, name in (("2026-11-25", "old"), ("2026-11-26", "new")):
        (root / day).mkdir()
        write_video(root / day / f"{name}.mp4", EIGHT)
        lines(root / f"{day}T00.jsonl", [question(f"{name}.mp4")])
    return {
        "store": str(root / "store"),
        "workers": 1,
        "videos": f"{root}/{{start:%Y-%m-%d}}",
        "questions": [{"path": f"{root}/{{start:%Y-%m-%dT%H}}.jsonl", "split": "train"}],
        "window": {"every": "1d"},
    }


def test_a_scheduled_run_takes_yesterdays_data_and_says_so(tmp_path: Path) -> None:
    values = folder(tmp_path)
    metadata = run_component(
        "ingest", json.dumps(values), {}, str(tmp_path / "clips"), scheduled=YESTERDAY
    )
    clips = ClipSet.load(tmp_path / "clips")
    assert metadata["clips"] == 1 and metadata["questions"] == 1
    assert list(clips.index["clip_id"]) == ["new"]
    config, details = clips.manifest.config, clips.manifest.details
    assert config["videos"] == str(tmp_path / "2026-11-26")
    assert config["questions"][0]["path"] == str(tmp_path / "2026-11-26T00.jsonl")
    assert config["scheduled"] == YESTERDAY and config["window"] == {"every": "1d"}
    assert details["window"] == {"start": "2026-11-26T00:00:00Z", "end": "2026-11-27T00:00:00Z"}
    # the config that the manifest keeps gives the same again
    again = ingest(IngestConfig.model_validate(config), output=tmp_path / "again")
    assert again.digest == clips.digest and again.manifest.config == config


def test_a_time_in_the_config_stands_above_kubeflows(tmp_path: Path) -> None:
    values = folder(tmp_path) | {"scheduled": "2026-11-26T02:00:00Z"}
    run_component("ingest", json.dumps(values), {}, str(tmp_path / "clips"), scheduled=YESTERDAY)
    assert list(ClipSet.load(tmp_path / "clips").index["clip_id"]) == ["old"]


@pytest.mark.parametrize("scheduled", [None, "", "{{$.pipeline_job_schedule_time_utc}}"])
def test_a_template_without_a_time_is_refused(tmp_path: Path, scheduled: str | None) -> None:
    values = folder(tmp_path)
    with pytest.raises(UserError, match="a scheduled time"):
        run_component("ingest", json.dumps(values), {}, str(tmp_path / "c"), scheduled=scheduled)
    del values["window"]
    with pytest.raises(UserError, match=r"ingest\.videos: .*needs `ingest.window: \{every: 1d\}`"):
        run_component("ingest", json.dumps(values), {}, str(tmp_path / "c"), scheduled=YESTERDAY)


@pytest.mark.parametrize(
    "videos", ["v/{begin:%Y}", "v/{start:%c}", "v/{start}", "v/{start.__class__}", "v/{end:x}"]
)
def test_a_template_of_another_kind_is_refused(tmp_path: Path, videos: str) -> None:
    config = IngestConfig(videos=videos, window=WindowConfig(every="1d"), scheduled=YESTERDAY)
    with pytest.raises(UserError, match=r"ingest\.videos"):
        ingest(config, output=tmp_path / "clips")


def test_without_a_window_a_time_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "{a}.mp4", EIGHT)
    values = {"store": str(tmp_path / "store"), "videos": str(tmp_path / "videos"), "workers": 1}
    run_component("ingest", json.dumps(values), {}, str(tmp_path / "c"), scheduled=YESTERDAY)
    clips = ClipSet.load(tmp_path / "c")
    assert clips.manifest.config["scheduled"] is None and clips.manifest.details["window"] is None
    assert list(clips.index["clip_id"]) == ["{a}"]


def test_the_command_line_takes_the_time(tmp_path: Path) -> None:
    values = folder(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"ingest": values}))
    workspace = Workspace(tmp_path)
    told = workspace.inline("ingest", "--output", "clips", code=2)
    assert "ingest.videos" in told and "--scheduled 2026-11-27T02:00:00Z" in told
    told = workspace.inline("ingest", "--output", "clips", "--scheduled", YESTERDAY)
    assert list(ClipSet.load(tmp_path / "clips").index["clip_id"]) == ["new"], told
