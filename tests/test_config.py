"""Configs: unknown keys, overrides, and messages that help."""

from pathlib import Path

import pytest

from geovr.config import apply_overrides, digest, read_params, stage_values, validate
from geovr.errors import UserError
from geovr.stages.train import TrainConfig


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(
        UserError, match=r"params.yaml.*\n  stepz: unknown key; did you mean 'steps'"
    ):
        validate(TrainConfig, {"base_model": "m", "steps": 1, "stepz": 2}, source="params.yaml")


def test_a_nested_fault_is_named_with_its_path() -> None:
    with pytest.raises(UserError, match=r"optim\.learning_rate: Input should be greater than 0"):
        validate(
            TrainConfig,
            {"base_model": "m", "steps": 1, "optim": {"learning_rate": -1}},
            source="params.yaml",
        )


def test_a_section_inherits_the_shared_keys_and_may_override_them() -> None:
    params = {"store": "s3://a", "experiment": "e", "train": {"steps": 3, "experiment": "mine"}}
    assert stage_values(params, "train") == {"store": "s3://a", "experiment": "mine", "steps": 3}


def test_overrides_are_yaml_and_leave_the_original_alone() -> None:
    params = {"train": {"steps": 3}}
    changed = apply_overrides(params, ["train.steps=5", "train.optim.train_vision=true", "store=x"])
    assert changed == {"train": {"steps": 5, "optim": {"train_vision": True}}, "store": "x"}
    assert params == {"train": {"steps": 3}}
    with pytest.raises(UserError, match="key=value"):
        apply_overrides(params, ["train.steps"])


def test_bad_params_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such params file"):
        read_params(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UserError, match=r"bad\.yaml: not valid YAML"):
        read_params(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserError, match="expected a mapping"):
        read_params(tmp_path / "list.yaml")


def test_digest_ignores_the_order_of_keys_only() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
