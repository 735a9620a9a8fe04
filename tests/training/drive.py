"""train() as a program of its own: `drive.py CONFIG.json CLIPS TARGETS OUTPUT [STEPS]`.

With STEPS it does no more after so many steps but wait to be killed.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from geovr.artifacts import ClipSet, TargetSet
from geovr.stages.train import TrainConfig, train
from geovr.training.loop import Trainer

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    config, clips, targets, output = map(Path, sys.argv[1:5])
    if len(sys.argv) > 5:
        last, step = int(sys.argv[5]), Trainer._step

        def pausing(self: Trainer, number: int, *rest: Any) -> dict[str, float]:
            while number == last:
                time.sleep(1)
            return step(self, number, *rest)

        Trainer._step = pausing  # type: ignore[method-assign]
    train(
        TrainConfig.model_validate_json(config.read_text()),
        clips=ClipSet.load(clips),
        targets=TargetSet.load(targets),
        output=output,
    )
