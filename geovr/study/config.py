"""What a study is: arms that differ in a few parameters, each trained with the same seeds.

A study's file names a params file that all runs start from; an arm says what it changes there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geovr.config import Config, apply_values, parse_overrides, read_params, validate
from geovr.errors import UserError

SHARED = ("ingest", "check_clips", "extract_targets", "check_targets")
"""Stages before training: all runs of a study share what they make."""
NAME = r"^[a-z0-9][a-z0-9_-]*$"
Fault = Literal[
    "targets_of_other_clips",
    "frames_shuffled",
    "places_shuffled",
    "noise",
    "camera_to_world",
    "inverse_depth",
]
"""Faults that can be planted into targets (geovr/study/plant.py)."""


class Arm(Config):
    """One way of training."""

    name: str = Field(..., pattern=NAME, max_length=40)
    label: str = Field(..., min_length=1, description="As tables and charts call it.")
    set: dict[str, Any] = Field(
        {}, description="Dotted keys of the params file and their values, e.g. train.steps: 100."
    )
    plant: Fault | None = Field(None, description="Fault in the targets that this arm learns from.")


class Scenes(Config):
    """Scenes that are rendered for a study, as `geovr simulate` makes them."""

    preset: Literal["demo", "study", "rooms"] = "study"
    train: int | None = Field(None, gt=0, description="Instead of the preset's count.")
    test: int | None = Field(None, gt=0, description="Instead of the preset's count.")
    size: str | None = Field(
        None, description="Frames' width x height, such as 128x128, instead of the preset's."
    )
    seed: int = Field(0, ge=0)
    output: Path = Field(Path("data/study"), description="Where; the params file reads them there.")


class StudyConfig(Config):
    """Arms and seeds, and what all of them share."""

    name: str = Field(..., pattern=NAME, max_length=40)
    about: str = Field(..., description="The question that the study answers.")
    base: Path = Field(..., description="Params file of all runs, relative to the study's file.")
    scenes: Scenes | None = Field(
        None, description="Scenes to render; null: the videos that the params file names."
    )
    model: Literal["tiny", "study"] | None = Field(
        None, description="Random weights, others for each seed; null: train.base_model."
    )
    seeds: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1)
    reference: str = Field(..., description="Arm that the others are compared with.")
    set: dict[str, Any] = Field({}, description="As an arm's, for all arms.")
    arms: tuple[Arm, ...] = Field(..., min_length=1)

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("seeds are whole numbers from 0 up, none twice")
        return seeds

    @model_validator(mode="after")
    def _arms_are_named_once(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("arms: two have one name")
        if self.reference not in names:
            raise ValueError(f"reference: {self.reference!r} is none of the arms {names}")
        for arm in self.arms:
            for key in arm.set:
                if key.split(".")[0] in (*SHARED, "store"):
                    raise ValueError(
                        f"arms: {arm.name} sets {key}, but all arms share clips, targets and store;"
                        " set it for the whole study, or make another study"
                    )
        return self


STUDIES = Path(__file__).parents[2] / "pipelines" / "studies"
"""Studies that come with the repository, <name>.yaml."""


def load_study(name: str) -> StudyConfig:
    """A study of the repository by its name, or one by its file; `base` becomes a whole path.

    Raises:
        UserError: for a name that is neither, or a file that is no study.
    """
    path = Path(name)
    if not path.is_file() and path.name == name and not path.suffix:
        path = STUDIES / f"{name}.yaml"
        if not path.is_file():
            shipped = ", ".join(sorted(p.stem for p in STUDIES.glob("*.yaml") if p.stem != "base"))
            raise UserError(f"{name}: no such study; give a file, or one of {shipped}")
    values = read_params(path, "study", "STUDY")
    study = validate(StudyConfig, values, source=str(path))
    return study.model_copy(update={"base": path.parent / study.base})


def with_changes(
    study: StudyConfig, overrides: list[str], seeds: tuple[int, ...] = ()
) -> StudyConfig:
    """The study with `a.b=value` set for all arms, whatever they set, and other seeds, if given.

    Raises:
        UserError: for an override that can't be read, or a seed given twice.
    """
    values, changes = study.model_dump(), parse_overrides(overrides)
    values["set"] |= changes
    for arm in values["arms"]:
        arm["set"] = {key: value for key, value in arm["set"].items() if key not in changes}
    values["seeds"] = seeds or study.seeds
    return validate(StudyConfig, values, source=f"study {study.name}")


def apply_study(study: StudyConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """The params file's values with what the study sets, and some changes to these.

    Raises:
        UserError: for a base that is no params file, or a key below a value.
    """
    return apply_values(read_params(study.base), study.set | changes, str(study.base))


def run_params(study: StudyConfig, arm: Arm, seed: int) -> dict[str, Any]:
    """The params of one run: the study's, what the arm sets, and the seed.

    Raises:
        UserError: as apply_study.
    """
    return apply_study(study, arm.set | {"train.seed": seed})
