"""Studies as files: what is refused, and that the shipped ones hold together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from geovr.errors import UserError
from geovr.study.checks import check
from geovr.study.config import STUDIES, Fault, load_study, run_params, with_changes

SHIPPED = sorted(path.stem for path in STUDIES.glob("*.yaml") if path.stem != "base")


def write(directory: Path, **changes: object) -> Path:
    values = {
        "name": "mine",
        "about": "Does it?",
        "base": "base.yaml",
        "reference": "one",
        "arms": [{"name": "one", "label": "One"}, {"name": "two", "label": "Two"}],
    }
    path = directory / "mine.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    (directory / "base.yaml").write_text("train: {steps: 5, seed: 9, objectives: {camera: true}}\n")
    return path


def test_an_arm_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    arms = [
        {"name": "one", "label": "One"},
        {"name": "two", "label": "Two", "set": {"train.objectives.camera": False}},
    ]
    study = load_study(str(write(tmp_path, arms=arms, set={"train.steps": 7})))
    one, two = (run_params(study, arm, 3) for arm in study.arms)
    assert one == {"train": {"steps": 7, "seed": 3, "objectives": {"camera": True}}}
    assert two == {"train": {"steps": 7, "seed": 3, "objectives": {"camera": False}}}


def test_what_the_command_line_sets_counts_for_all_arms(tmp_path: Path) -> None:
    arms = [
        {"name": "one", "label": "One"},
        {"name": "two", "label": "Two", "set": {"train.steps": 9, "train.objectives.depth": False}},
    ]
    study = load_study(str(write(tmp_path, arms=arms)))
    study = with_changes(study, ["train.steps=2"], (8, 9))
    assert study.seeds == (8, 9)
    params = [run_params(study, arm, 8)["train"] for arm in study.arms]
    assert [one["steps"] for one in params] == [2, 2]
    assert params[1]["objectives"] == {"camera": True, "depth": False}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reference": "three"}, "reference: 'three' is none of the arms"),
        ({"seeds": [1, 1]}, "none twice"),
        ({"arms": [{"name": "one", "label": "a"}] * 2}, "two have one name"),
        ({"arms": [{"name": "../one", "label": "a"}]}, "name"),
        (
            {"arms": [{"name": "one", "label": "a", "set": {"extract_targets.oracle": {}}}]},
            "one sets extract_targets.oracle, but all arms share",
        ),
        ({"sedes": [1]}, "did you mean 'seeds'"),
        ({"arms": [{"name": "one", "label": "a", "plant": "nonsense"}]}, "plant"),
    ],
)
def test_a_wrong_study_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        load_study(str(write(tmp_path, **changes)))


def test_an_unknown_name_gets_the_known_ones() -> None:
    with pytest.raises(UserError, match="objectives"):
        load_study("objectivs")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"set": {"trian.steps": 3}}, "trian.steps: no stage reads it; there are ingest"),
        ({"set": {"train.seed": 3}}, "train.seed: is each run's own"),
        ({"set": {"train.base_model": "x"}, "model": "tiny"}, "`model` of the study makes one"),
        ({"set": {"extract_targets.techer": "oracle"}}, "did you mean 'teacher'"),
        ({"model": None}, "base_model: Field required"),
        ({"model": "tiny"}, "arm two: sets nothing that one doesn't"),
    ],
)
def test_what_would_come_to_nothing_is_refused_first(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    study = load_study(str(write(tmp_path, **changes)))
    with pytest.raises(UserError, match=re.escape(told)):
        check(study)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_arm_of_a_shipped_study_is_a_valid_run(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    check(study)


def test_the_arms_of_objectives_are_the_rows_of_table_2() -> None:
    study = load_study("objectives")
    rows = set()
    for arm in study.arms:
        on = run_params(study, arm, 1)["train"]["objectives"]
        rows.add(tuple(name for name in ("camera", "depth", "scale", "features") if on[name]))
    assert rows == {
        (),
        ("camera",),
        ("depth",),
        ("camera", "depth"),
        ("camera", "depth", "scale"),
        ("features",),
        ("camera", "depth", "scale", "features"),
    }


def test_packing_compares_at_equal_questions() -> None:
    study = load_study("packing")
    questions = {}
    for arm in study.arms:
        train = run_params(study, arm, 1)["train"]
        questions[arm.name] = train["questions_per_clip"] * train["clips_per_batch"]
    assert questions["k8"] == questions["k4-questions"] == questions["k1-questions"] == 128
    # what takes less time a step gets more of them
    steps = [
        run_params(study, arm, 1)["train"]["steps"]
        for name in ("k8", "k4-time", "k1-time")
        for arm in study.arms
        if arm.name == name
    ]
    assert steps == sorted(set(steps))


def test_each_fault_is_an_arm_of_a_shipped_study() -> None:
    study = load_study("faults")
    assert (study.seeds, study.reference, study.base.name) == ((2, 3, 4), "text", "base.yaml")
    names = [arm.name for arm in study.arms]
    planted = [fault for fault in get_args(Fault) if fault != "places_shuffled"]
    assert names == ["text", "all", *planted, "taps_wrong"]
    assert {arm.name: arm.plant for arm in study.arms if arm.plant} == {f: f for f in planted}
    explained = [arm.plant for arm in load_study("shuffled").arms if arm.plant]
    assert explained == ["frames_shuffled", "places_shuffled"]
    off = next(arm for arm in study.arms if arm.name == "text").set
    objectives = ("camera", "depth", "scale", "features")
    assert off == {f"train.objectives.{name}": False for name in objectives}
    assert [arm.name for arm in study.arms if arm.set] == ["text", "taps_wrong"]


def test_the_wrong_taps_are_the_right_ones_in_reverse() -> None:
    from geovr.model.config import HeadsConfig
    from geovr.model.geovr import student_layers

    arm = next(arm for arm in load_study("faults").arms if arm.name == "taps_wrong")
    wrong = {key.removeprefix("train.heads."): value for key, value in arm.set.items()}
    heads = HeadsConfig.model_validate(wrong)
    right = HeadsConfig()
    for kind in ("depth_layers", "feature_layers"):
        layers = [student_layers(getattr(h, kind), h.teacher_depth, 4) for h in (right, heads)]
        assert layers == [(1, 2, 3, 4), (4, 3, 2, 1)]
