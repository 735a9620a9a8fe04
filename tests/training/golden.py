"""Twenty steps on data drawn from a seed; `python -m tests.training.golden` writes their losses.

The file guards the mathematics: a change of the model, of a loss, of packing or of the optimiser
that was not meant to change anything shows. After one that was, write it anew, look at the
difference, and say in the commit why the losses moved.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geovr.data.batch import Batch, Targets
from geovr.data.frames import FrameGeometry, resize_frames
from geovr.data.prefix import PromptTokens
from geovr.data.samples import ClipInput, Sample, make_batch
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from geovr.storage import Store
from geovr.training.checkpoint import Checkpoints
from geovr.training.config import OptimConfig
from geovr.training.loop import LoopSettings, Trainer
from geovr.training.optim import freeze, make_optimizer

FILE = Path(__file__).parents[1] / "golden" / "loss_curve.json"
STEPS, CLIPS, QUESTIONS, FRAMES, SIDE, CHANNELS = 20, 3, 2, 4, 64, 16
HEADS = HeadsConfig(
    camera_hidden=32,
    scale_hidden=16,
    depth_channels=(8, 8, 8, 8),
    depth_features=8,
    depth_patch=4,
)


class Drawn:
    """Stands for a StepReader: every step's clips and questions come from its number."""

    def __init__(self, processor: Any) -> None:
        self.geometry, self.prompt = FrameGeometry.of(processor), PromptTokens(processor)

    def __call__(self, step: int) -> list[Batch]:
        random = np.random.default_rng([11, step])
        samples = [self._sample(random) for _ in range(CLIPS)]
        return [make_batch(samples, self.prompt, self.geometry, camera=True, scale=True)]

    def _sample(self, random: np.random.Generator) -> Sample:
        # bright frames are of near rooms, so that there is something to learn
        near = random.uniform(0.2, 1.0)
        pixels = (random.uniform(0, 255, (FRAMES, SIDE, SIDE, 3)) * near).astype(np.uint8)
        depth = random.uniform(0.8, 1.2, (FRAMES, SIDE // 2, SIDE // 2)) / near
        targets = Targets(
            pose_encoding_TK=_tensor(random.normal(size=(FRAMES, 9)) * near),
            depth_THW=_tensor(depth),
            metric_scale=torch.tensor(2.0 * near),
            metric_scale_valid=True,
            features_NTHWC=_tensor(random.normal(size=(4, FRAMES, 2, 2, CHANNELS))),
            moving=True,
        )
        frames = resize_frames(pixels, self.geometry)
        clip = ClipInput("video", frames, np.arange(FRAMES) / 2, targets)
        branches = [
            self.prompt.branch(f"Question {n}: how far is the wall?", f"{1 / near:.1f}")
            for n in range(QUESTIONS)
        ]
        return Sample((clip,), tuple(branches))


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def curve() -> list[dict[str, float]]:
    """The losses and the gradient's norm of every step."""
    torch.manual_seed(5)
    optim = OptimConfig(learning_rate=3e-4, head_learning_rate=1e-3, weight_decay=0.01)
    with tempfile.TemporaryDirectory() as scratch:
        init_model("tiny", Path(scratch) / "tiny", seed=3)
        backbone, processor = load_backbone(Path(scratch) / "tiny")
        freeze(backbone, optim)
        model = GeoVR(backbone, HEADS, Objectives(), CHANNELS)
        trainer = Trainer(
            model,
            make_optimizer(model, optim),
            Drawn(processor),  # type: ignore[arg-type]
            Checkpoints(Store.open(str(Path(scratch) / "store")), "golden", 1),
            optim,
            LoopSettings(steps=STEPS, checkpoint_every=STEPS),
            torch.device("cpu"),
        )
        metrics = trainer.fit(lambda values, step: None)
    return [
        {k: v for k, v in m.items() if k == "grad_norm" or k.startswith("loss")} for m in metrics
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    # seven digits are more than the tolerance asks for, and keep the file's differences readable
    rounded = [{name: float(f"{value:.7g}") for name, value in m.items()} for m in curve()]
    FILE.write_text("[\n" + ",\n".join(json.dumps(m) for m in rounded) + "\n]\n")
