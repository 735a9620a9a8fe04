"""A prepared training: clips, targets and a tiny model, from the session's template."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.artifacts import Checkpoint, ClipSet, TargetSet
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from geovr.stages.train import TrainConfig, train
from geovr.training.loop import VOLATILE


@dataclass(frozen=True)
class Prepared:
    """All that train() needs but a store to work in."""

    clips: ClipSet
    targets: TargetSet
    model: Path

    def values(self, root: Path, **changes: Any) -> dict[str, Any]:
        """A config of four steps, whose store is below `root`."""
        rates = {"train_vision": True, "learning_rate": 1e-3, "head_learning_rate": 1e-3}
        heads = {
            "camera_hidden": 16, "scale_hidden": 8, "depth_channels": [8, 8, 8, 8],
            "depth_features": 8, "depth_patch": 4,
        }  # fmt: skip
        return {
            "store": str(root / "store"), "base_model": str(self.model), "steps": 4,
            "clips_per_batch": 2, "checkpoint_every": 1, "optim": rates, "heads": heads,
        } | changes  # fmt: skip

    def train(self, root: Path, **changes: Any) -> Result:
        """Train in this process; what came out of it."""
        config = TrainConfig.model_validate(self.values(root, **changes))
        done = train(config, clips=self.clips, targets=self.targets, output=root / "checkpoint")
        return Result.of(done, root)


@dataclass(frozen=True)
class Result:
    """What two trainings are compared by."""

    digest: str
    files: dict[str, str]
    heads: bytes
    curve: list[dict[str, float]]
    details: dict[str, Any]

    @classmethod
    def of(cls, checkpoint: Checkpoint, root: Path) -> Result:
        details = checkpoint.manifest.details
        lines = (root / "checkpoint/curve.jsonl").read_text().splitlines()
        curve = [
            {k: v for k, v in json.loads(line).items() if not k.startswith(VOLATILE)}
            for line in lines
        ]
        heads = (root / "store" / details["heads"]).read_bytes()
        return cls(checkpoint.digest, details["files"], heads, curve, details)

    def same(self, other: Result) -> bool:
        """Whether weights and losses are equal to the last bit."""
        return (self.digest, self.files, self.heads, self.curve) == (
            other.digest, other.files, other.heads, other.curve,
        )  # fmt: skip

    @property
    def losses(self) -> list[float]:
        return [metrics["loss"] for metrics in self.curve]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Processes that are compared bit by bit count on one thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tracked(own_tracking: None, blank_database: Path, tmp_path: Path) -> None:
    """MLflow's tables are there already, for this process and for those started in tmp_path."""
    for home in (tmp_path / "geovr-home", tmp_path / ".geovr"):
        home.mkdir(exist_ok=True)
        shutil.copy(blank_database, home / "mlflow.db")


@pytest.fixture(scope="session")
def prepared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    logging.getLogger("geovr").setLevel(logging.INFO)
    data, root = template / "data/rooms", tmp_path_factory.mktemp("prepared")
    store = str(root / "store")
    questions = [{"path": str(data / "train_questions.jsonl"), "split": "train"}]
    config = IngestConfig(store=store, videos=str(data / "videos"), questions=questions)
    clips = ingest(config, output=root / "clips")
    oracle = {"ground_truth": str(data / "ground_truth")}
    targets = extract_targets(
        ExtractTargetsConfig(store=store, oracle=oracle), clips=clips, output=root / "targets"
    )
    return Prepared(clips, targets, template / ".geovr/models/study")


@pytest.fixture(scope="session")
def whole(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> Result:
    """Training that nothing interrupted."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copy(blank_database, root / "mlflow.db")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOVR_HOME", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        result = prepared.train(root)
    torch.set_num_threads(before)
    return result
