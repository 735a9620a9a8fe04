"""train() in which a rank is lost: `hang.py CONFIG CLIPS TARGETS OUTPUT RANK STEP [hangs|dies]`."""

from __future__ import annotations

import logging
import os
import signal
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
    rank, at = int(sys.argv[5]), int(sys.argv[6])
    dies = sys.argv[7:] == ["dies"]
    forward = Trainer._forward
    seen = -1

    def lost(self: Trainer, batch: Any) -> Any:
        if self.rank == rank and seen == at:
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1000)
        return forward(self, batch)

    step = Trainer._step

    def stepping(self: Trainer, number: int, *rest: Any) -> dict[str, float]:
        global seen
        seen = number
        return step(self, number, *rest)

    Trainer._forward = lost  # type: ignore[method-assign]
    Trainer._step = stepping  # type: ignore[method-assign]
    train(
        TrainConfig.model_validate_json(config.read_text()),
        clips=ClipSet.load(clips),
        targets=TargetSet.load(targets),
        output=output,
    )
