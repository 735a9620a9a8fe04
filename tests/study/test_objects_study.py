"""The study `objects`: both kinds of questions, and arms that differ in the objectives alone."""

from __future__ import annotations

from pathlib import Path

from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.study.config import load_study, run_params


def test_its_arms_differ_in_the_objectives_alone() -> None:
    study = load_study("objects")
    params = {arm.name: run_params(study, arm, 1) for arm in study.arms}
    assert list(params) == ["text", "all"] and study.reference == "text"
    off, on = (params[arm]["train"].pop("objectives") for arm in ("text", "all"))
    terms = ("camera", "depth", "scale", "features")
    assert [off.pop(term) for term in terms] == [False] * 4
    assert [on.pop(term) for term in terms] == [True] * 4
    assert off == on
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
