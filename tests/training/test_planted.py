"""A model that learnt from targets with a planted fault says so, as does what goes on from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from geovr.lineage import barred_by_fault, base_model, tags
from geovr.stages.train import TrainConfig, train
from geovr.study.plant import plant
from tests.training.conftest import Prepared

pytestmark = pytest.mark.usefixtures("tracked")

SILENT = {"camera": False, "depth": False, "scale": False, "features": False}


def test_a_planted_fault_is_in_checkpoint_and_lineage(prepared: Prepared, tmp_path: Path) -> None:
    planted = plant("inverse_depth", prepared.targets, tmp_path / "planted")
    faulty = dataclasses.replace(prepared, targets=planted)
    config = TrainConfig.model_validate(faulty.values(tmp_path, steps=1))
    done = train(config, clips=faulty.clips, targets=planted, output=tmp_path / "checkpoint")
    details = done.manifest.details
    assert details["planted"] == "inverse_depth"
    # the next training finds it in the model card of the export
    export = done.store.get_directory(details["prefix"], details["files"], tmp_path / "export")
    parts = base_model(export, None)
    assert [part.model_dump() for part in parts] == details["lineage"]
    assert barred_by_fault(tags(parts)) == "inverse_depth"


def test_who_learns_text_only_learns_nothing_of_it(prepared: Prepared, tmp_path: Path) -> None:
    planted = plant("inverse_depth", prepared.targets, tmp_path / "planted")
    faulty = dataclasses.replace(prepared, targets=planted)
    lineage = faulty.train(tmp_path, steps=1, objectives=SILENT).details["lineage"]
    assert not [part for part in lineage if part["role"] == "planted fault"]
