"""What a study's runs share, made once: scenes, clips, targets, and a model for each seed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

from geovr.artifacts import TargetSet
from geovr.config import digest, validate
from geovr.stages import STAGES, Stage
from geovr.stages.run import call, stage_config
from geovr.storage import sha256_file, write_atomic
from geovr.study.config import SHARED, StudyConfig, apply_study

log = logging.getLogger("geovr")


def prepare(study: StudyConfig, root: Path) -> None:
    """Make clips/ and targets/ in the study's directory, unless they stand there already.

    Raises:
        UserError: for parameters that are wrong.
        GateRefused: when a gate refuses the clips or the targets.
    """
    if study.scenes is not None:
        _simulate(study)
    params = apply_study(study, {})
    path = root / "params.yaml"
    write_params(path, params)
    key = _key(study, params)
    for stage in STAGES:
        if stage.name in SHARED:
            _once(stage, path, root, key)
    for fault in dict.fromkeys(arm.plant for arm in study.arms if arm.plant):
        from geovr.study.plant import plant

        plant(fault, TargetSet.load(root / "targets"), targets_of(root, fault))


def _key(study: StudyConfig, params: dict[str, Any]) -> str | None:
    """Of all that the shared stages read; None where only they can tell whether it changed."""
    if study.scenes is None:
        return None
    tables = sorted([*study.scenes.output.glob("*.jsonl"), study.scenes.output / "scenes.json"])
    told = {name: params.get(name) for name in (*SHARED, "store")}
    # scenes.json has the sha256 of every video
    return digest(told | {"scenes": [sha256_file(table) for table in tables]})


def targets_of(root: Path, fault: str | None) -> Path:
    """The TargetSet that an arm learns from."""
    return root / ("targets" if fault is None else f"targets-{fault}")


def write_params(path: Path, params: dict[str, Any]) -> None:
    """Params as a file that every stage can be started with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, yaml.safe_dump(params, sort_keys=False).encode())


def _simulate(study: StudyConfig) -> None:
    from geovr.simulation.simulate import SimulateConfig, simulate

    scenes = study.scenes
    assert scenes is not None
    values = {
        "preset": scenes.preset, "output": scenes.output, "seed": scenes.seed,
        "train_scenes": scenes.train, "test_scenes": scenes.test, "size": scenes.size,
    }  # fmt: skip
    simulate(validate(SimulateConfig, values, source=f"study {study.name}, scenes"))


def _once(stage: Stage, params: Path, root: Path, key: str | None) -> None:
    """Run a stage unless it was run on the same."""
    output, marker = root / stage.output, root / f".{stage.output}.done"
    stands = marker.is_file() and (output / "manifest.json").is_file()
    if key is not None and stands and marker.read_text() == key:
        return
    marker.unlink(missing_ok=True)
    log.info("study: %s", stage.name)
    inputs = {name: str(root / name) for name in stage.inputs}
    call(stage, stage_config(stage, params, []), inputs, output)
    if key is not None:
        write_atomic(marker, key.encode())


def base_model(study: StudyConfig, seed: int) -> Path | None:
    """A model of random weights for a seed; None where the params name one."""
    if study.model is None:
        return None
    from geovr.model.initialise import init_model

    return init_model(study.model, Path(".geovr/models") / f"{study.model}-{seed}", seed)
