"""The images file, and what of it reaches the parameters of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geovr.errors import UserError
from pipelines.images import read_images, stage_parameters, with_images
from tests.workspace import REPOSITORY

CPU, GPU = (f"registry.example/geovr/{name}@sha256:{digit * 64}" for name, digit in ("c1", "g2"))


def write(folder: Path, images: object) -> Path:
    path = folder / "images.json"
    path.write_text(json.dumps(images))
    return path


def test_steps_and_the_jobs_they_launch_have_images(tmp_path: Path) -> None:
    images = {"default": CPU, "train": GPU, "launch.train": GPU, "notify": CPU}
    assert read_images(write(tmp_path, images)) == images
    assert read_images(None) == {}


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ({"default": "geovr/cpu:latest"}, "default: geovr/cpu:latest is no digest"),
        ({"default": "geovr/cpu@sha256:12"}, "is no digest"),
        ({"default": None}, "None is no digest"),
        ({"trian": CPU}, "trian: no step of the pipeline; did you mean 'train'"),
        ({"launch.ingest": CPU}, "launch.ingest: no step"),
        ([CPU], "expected a mapping"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, images: object, told: str) -> None:
    with pytest.raises(UserError, match=r"images\.json") as error:
        read_images(write(tmp_path, images))
    assert told in str(error.value)


def test_a_job_on_kubernetes_gets_the_image_unless_it_names_one() -> None:
    launch = {"scheduler": "kubernetes", "nodes": 2}
    parameters = {
        "train": json.dumps({"steps": 3, "launch": launch}),
        "evaluate": json.dumps({"launch": launch | {"image": CPU}}),
        "extract_targets": json.dumps({"launch": {"scheduler": "inline"}}),
        "ingest": json.dumps({"videos": "x"}),
    }
    images = {"default": CPU} | {
        f"launch.{name}": GPU for name in ("train", "evaluate", "extract_targets")
    }
    filled = with_images(parameters, images)
    assert json.loads(filled["train"]) == {"steps": 3, "launch": launch | {"image": GPU}}
    assert {name: filled[name] for name in parameters if name != "train"} == {
        name: parameters[name] for name in parameters if name != "train"
    }


def test_a_params_file_needs_no_image_where_the_images_file_has_it() -> None:
    overrides = ["train.launch.scheduler=kubernetes"]
    with pytest.raises(UserError, match="section train"):
        stage_parameters(REPOSITORY / "params.yaml", overrides, {})
    parameters = stage_parameters(REPOSITORY / "params.yaml", overrides, {"launch.train": GPU})
    assert json.loads(parameters["train"])["launch"]["image"] == GPU
    assert set(parameters) >= {"ingest", "register"}
