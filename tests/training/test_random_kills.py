"""Killed five times at random moments: the same bytes in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.training.conftest import Prepared
from tests.training.random_kills import Job, compare


@pytest.mark.fault(31)
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("tracked")
def test_killed_five_times_the_weights_are_the_same_bytes(
    prepared: Prepared, tmp_path: Path
) -> None:
    values = prepared.values(tmp_path, steps=40, checkpoint_every=2)
    values.pop("store")
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"train": values}))
    job = Job(params, prepared.clips.directory, prepared.targets.directory, ())
    whole, killed, steps = compare(job, kills=5, seed=3, scratch=tmp_path)
    assert whole == killed
    assert steps == sorted(steps) and 0 < steps[-1] < 40
