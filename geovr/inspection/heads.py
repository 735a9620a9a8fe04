"""A checkpoint's own heads, loaded once, asked about several clips at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from geovr.artifacts import Checkpoint, ClipSet
from geovr.data.dataset import BatchMaker
from geovr.data.input import InputConfig

if TYPE_CHECKING:
    from geovr.losses.objectives import Objectives
    from geovr.model.predict import Prediction


class Heads:
    """A model with its heads, and the clips it is asked about.

    Args:
        checkpoint: whose.
        clips: where the clips are from.
        shown: how clips are put before the model; None: as in training, any length.

    Raises:
        UserError: when it has no heads.
    """

    def __init__(
        self, checkpoint: Checkpoint, clips: ClipSet, shown: InputConfig | None = None
    ) -> None:
        from geovr.model.forward import load_backbone
        from geovr.model.heads_file import attach_heads

        details = checkpoint.manifest.details
        data = checkpoint.store.get(details["heads"], details["heads_sha256"])
        with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
            directory = checkpoint.store.get_directory(
                details["prefix"], details["files"], Path(scratch)
            )
            backbone, processor = load_backbone(directory)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = attach_heads(backbone, data, details["heads"]).to(self._device).eval()
        if shown is None:
            trained = InputConfig.model_validate(checkpoint.manifest.config["input"])
            shown = trained.model_copy(update={"max_tokens": None})
        self._maker = BatchMaker(
            clips,
            None,
            processor,
            clips.questions,
            numeric="text",
            shown=shown,
            layout=self._model.heads_config.layout,
            camera=self.objectives.camera,
            scale=self.objectives.scale,
        )
        self._depth_size = details.get("depth_size")
        grid = details.get("feature_grid") or [1, 1]
        self._grid = int(grid[0]), int(grid[1])

    @property
    def objectives(self) -> Objectives:
        """Which heads there are."""
        return self._model.objectives

    def __call__(self, clip_ids: Sequence[str], frame_size: tuple[int, int]) -> list[Prediction]:
        """What the heads say about clips whose frames have one height and width.

        Depth has the number of pixels it was trained at, in the frames' own shape.
        """
        from geovr.model.predict import predict

        # the heads see the clip alone, but a row of a batch has a question
        question = self._maker.tokens.branch("Where is the camera?", None)
        batch = self._maker.batch_of(clip_ids, [[question]] * len(clip_ids)).to(self._device)
        return predict(self._model, batch, self.depth_size(frame_size), self._grid)

    def places(self, frames: int) -> np.ndarray:
        """Which of a video's frames the heads speak about: the first of each time slot."""
        places: np.ndarray = self._maker.geometry.slot_frames("video", frames)[:, 0]
        return places

    def depth_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """The trained depth's number of pixels in a frame's own shape."""
        height, width = frame_size
        if self._depth_size is None:
            return height, width
        share = (self._depth_size[0] * self._depth_size[1] / (height * width)) ** 0.5
        return max(1, round(height * share)), max(1, round(width * share))
