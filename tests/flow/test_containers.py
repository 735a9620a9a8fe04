"""What containers of a run see, reach and write to; no engine is needed to say it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from geovr.errors import UserError
from pipelines.docker import Containers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [n for n in os.environ if n.startswith(("AWS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOVR_HOME", str(tmp_path / "home"))
    (tmp_path / "data/videos").mkdir(parents=True)
    (tmp_path / "data/videos.dvc").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.txt").touch()
    return tmp_path


def arguments(config: dict[str, Any], **chosen: Any) -> dict[str, Any]:
    containers = Containers("geovr/cpu:test", **({"user": "4242:4242"} | chosen))
    return containers.arguments({"ingest": json.dumps({"store": "store"} | config)})


def as_caller() -> str:
    return f"{os.getuid() or 4242}:{os.getgid() or 4242}"


def test_only_what_configs_name_is_seen_and_only_the_store_is_written_to(here: Path) -> None:
    given = arguments({"videos": "data/videos", "base_model": "model"}, user=as_caller())
    seen = {mount["Target"]: mount["ReadOnly"] for mount in given["mounts"]}
    assert seen == {
        f"{here}/store": False,
        f"{here}/home": False,
        f"{here}/data/videos": True,
        f"{here}/data/videos.dvc": True,
        f"{here}/model": True,
    }
    assert given["read_only"] and given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges"] and given["network"] == "none"


def test_variables_reach_a_stage_by_a_list(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("REGISTRY_TOKEN", "hidden")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("GEOVR_GIT_SHA", "the image's own says more")
    environment = arguments({}, user=as_caller())["environment"]
    assert environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["GEOVR_IMAGE"] == "geovr/cpu:test"
    assert not environment.keys() & {"REGISTRY_TOKEN", "HTTPS_PROXY", "GEOVR_GIT_SHA"}


@pytest.mark.parametrize("user", ["0:0", "0:5", "root", "me:me", "5", "-1:2"])
def test_root_and_names_are_no_user(here: Path, user: str) -> None:
    with pytest.raises(UserError, match="two numbers"):
        arguments({}, user=user)


def test_what_needs_a_network_is_refused_without_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="s3:// needs a network"):
        arguments({"store": "s3://bucket/store"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8333")
    with pytest.raises(UserError, match=r"s3:// is at 127.0.0.1, .*--network host"):
        arguments({"store": "s3://bucket/store"}, network="bridge")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_URI .*--network none"):
        arguments({})


def test_a_place_of_another_user_is_refused_before_a_stage_fails(here: Path) -> None:
    (here / "store").mkdir(mode=0o755)
    owner = os.getuid()
    with pytest.raises(UserError, match=rf"store belongs to user {owner}.*chown -R"):
        arguments({}, user="4242424:4242424")


def test_the_whole_file_system_is_no_input(here: Path) -> None:
    with pytest.raises(UserError, match="whole file system"):
        arguments({"videos": "/"}, user=as_caller())
