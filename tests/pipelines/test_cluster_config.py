"""The file of cluster settings: defaults that hold, and errors that name file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from geovr.errors import UserError
from pipelines.cluster import STEPS, ClusterConfig, amount, check_launches, read_cluster
from tests.workspace import REPOSITORY


def written(folder: Path, values: Any) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def refused(folder: Path, values: Any) -> str:
    path = written(folder, values)
    with pytest.raises(UserError) as error:
        read_cluster(path)
    assert str(error.value).startswith(str(path))
    return str(error.value)


def test_defaults_are_a_steps_own(tmp_path: Path) -> None:
    steps = read_cluster(written(tmp_path, {})).steps
    assert steps == ClusterConfig().steps and tuple(steps) == STEPS
    assert {name for name, one in steps.items() if one.launches} == {
        "extract_targets", "train", "evaluate",
    }  # fmt: skip
    assert not any(one.gpus for one in steps.values())
    # a launcher waits for its job, and is small
    assert steps["train"].timeout_s > 7 * 86400 and steps["train"].memory_limit == "4Gi"
    for name in ("check_clips", "check_targets", "register", "notify"):
        assert steps[name].retries.count == 0
    for name in ("ingest", "extract_targets", "train", "evaluate"):
        assert steps[name].retries.count == 2


def test_what_is_given_stands_above_a_steps_defaults(tmp_path: Path) -> None:
    given = {"steps": {"ingest": {"cpu_limit": "32"}, "train": {"launches": False, "gpus": 8}}}
    steps = read_cluster(written(tmp_path, given)).steps
    assert steps["ingest"].cpu_limit == "32" and steps["ingest"].cpu_request == "4"
    train = steps["train"]
    assert (train.gpus, train.shared_memory, train.memory_limit) == (8, "16Gi", "96Gi")
    assert train.timeout_s == 14 * 86400


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"user_id": 5}, "user_id: unknown key; did you mean 'user'"),
        ({"steps": {"trian": {}}}, "steps: Value error, trian: no step of the pipeline; did you"),
        (
            {"steps": {"train": {"cpu_limits": "4"}}},
            "steps.train.cpu_limits: unknown key; did you mean 'cpu_limit'",
        ),
        ({"steps": {"train": 4}}, "steps.train: Input should be"),
        ({"steps": {"ingest": {"cpu_limit": "four"}}}, "steps.ingest.cpu_limit"),
        ({"steps": {"ingest": {"memory_limit": "16"}}}, "steps.ingest.memory_limit"),
        (
            {"steps": {"ingest": {"memory_request": "20Gi"}}},
            "memory_request 20Gi is above memory_limit 16Gi",
        ),
        (
            {"steps": {"ingest": {"shared_memory": "16Gi"}}},
            "shared_memory 16Gi counts in memory_limit 16Gi",
        ),
        ({"steps": {"train": {"retries": {"factor": 1.5}}}}, "steps.train.retries.factor: Input"),
        ({"steps": {"train": {"gpus": 1}}}, "a step that launches needs no gpus"),
        ({"user": 0}, "user: Input should be greater"),
        ({"secrets": {"A": {"name": "s", "key": "k", "steps": ["x"]}}}, "x is no step"),
        ({"secrets": {"A": "hunter2hunter2"}}, "secrets.A: Input should be"),
        ({"secrets": {"A B": {"name": "s", "key": "k"}}}, "secrets.A B"),
        ({"image_pull_policy": "always"}, "image_pull_policy: Input should be 'IfNotPresent'"),
        ({"run": {"deadline": 5}}, "run.deadline: unknown key; did you mean 'deadline_s'"),
        ({"notify": {"url": "http://hooks.example.com"}}, "http:// needs allow_http"),
        ({"notify": {"url": "https://a:b@hooks.example.com"}}, "no user, password or query"),
        ({"notify": {"url": "https://hooks.example.com/?token=x"}}, "no user, password or query"),
        ({"notify": {"url": "https:///x"}}, "name a host"),
        ({"notify": {"uri": "x"}}, "notify.uri: unknown key; did you mean 'url'"),
    ],
)
def test_a_fault_is_told_with_file_and_key(tmp_path: Path, values: Any, told: str) -> None:
    message = refused(tmp_path, values)
    assert told in message
    # a value that should be a reference may be a secret
    assert "hunter2" not in message


def test_a_missing_file_names_its_option(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="no such file of cluster settings; give one with --cluster"
    ):
        read_cluster(tmp_path / "none.yaml")


def test_quantities_compare() -> None:
    assert amount("500m") == 0.5 and amount("1Gi") == 2**30 and amount("1.5G") == 1.5e9
    with pytest.raises(ValueError, match="no Kubernetes quantity"):
        amount("4 GB")


def test_settings_and_parameters_agree_on_what_is_launched() -> None:
    cluster = ClusterConfig.model_validate({"steps": {"evaluate": {"launches": False}}})
    launched = '{"launch": {"scheduler": "kubernetes"}}'
    inline = '{"launch": {"scheduler": "inline"}}'
    parameters = {"extract_targets": launched, "train": launched, "evaluate": inline}
    check_launches(cluster, parameters | {"ingest": "{}"})
    with pytest.raises(UserError, match=r"train\.launch\.scheduler: inline.*launches: true"):
        check_launches(cluster, parameters | {"train": inline})
    with pytest.raises(UserError, match=r"evaluate\.launch\.scheduler: kubernetes.*launches: fal"):
        check_launches(cluster, parameters | {"evaluate": launched})


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_examples_are_valid(name: str) -> None:
    cluster = read_cluster(REPOSITORY / f"infra/kubernetes/pipeline/{name}.yaml")
    assert {one.name for one in cluster.secrets.values()} == {"geovr-s3", "geovr-mlflow-client"}
    assert {one.name for one in cluster.config_maps.values()} == {"geovr-endpoints"}
    assert cluster.image_pull_secrets == ("geovr-registry",)
    # the last step reads the store and nothing else
    seen = {v for v, one in cluster.secrets.items() if not one.steps or "notify" in one.steps}
    assert seen == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
