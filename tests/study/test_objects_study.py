"""The study `objects`: both kinds of questions, and arms that differ in the objectives alone."""

from __future__ import annotations

from pathlib import Path

import yaml

from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.study.config import load_study, run_params
from tests.workspace import REPOSITORY


def test_its_arms_differ_in_the_objectives_alone(tmp_path: Path) -> None:
    study = load_study("objects")
    base = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    study = study.model_copy(update={"base": tmp_path / "base.yaml"})
    params = {arm.name: run_params(study, arm, 1) for arm in study.arms}
    assert list(params) == ["text", "all"] and study.reference == "text"
    assert set(params["text"]["train"].pop("objectives").values()) == {False}
    assert set(params["all"]["train"].pop("objectives").values()) == {True}
    assert params["text"] == params["all"]
    assert params["all"]["train"]["steps"] == 3000


def test_it_asks_all_that_is_written_about_its_scenes(tmp_path: Path) -> None:
    study = load_study("objects")
    assert study.scenes is not None
    simulate(
        SimulateConfig(
            preset=study.scenes.preset, output=tmp_path, train_scenes=2, test_scenes=1, processes=1
        )
    )
    asked = study.set["ingest.questions"]
    names = {Path(source["path"]).name for source in asked}
    assert names == {path.name for path in tmp_path.glob("*.jsonl")}
    for source in asked:
        assert Path(source["path"]).name.startswith(source["split"])
        assert Path(source["path"]).parent == Path("data/study")
