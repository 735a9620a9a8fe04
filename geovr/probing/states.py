"""A frozen model's states of visual tokens, clip by clip, with the truth about them.

The prefix is that of stock inference: nothing is added to it, and questions behind it are not seen.

Shape suffixes: T time slots, N visual tokens of a slot, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.dataset import BatchMaker
from geovr.data.input import InputConfig
from geovr.errors import UserError
from geovr.model.forward import tap_layers, text_states, visual_features
from geovr.probing.targets import ClipTargets, clip_targets
from geovr.progress import progress
from geovr.simulation.truth import SceneTruth, read_truth, truth_name
from geovr.storage import Store

GROUND_TRUTH = "--ground-truth"


@dataclass(frozen=True)
class ClipStates:
    """One clip as a model sees it.

    Attributes:
        scene: of the clip.
        targets: what is to be read.
        layers: layer -> states (T, N, D).
    """

    scene: str
    targets: ClipTargets
    layers: dict[int, torch.Tensor]


class Reader:
    """A model and the clips that are put before it.

    Layer 0 is what the language model takes in, l what layer l gives, with its own DeepStack
    addition (see model/forward.py, tap_layers), the last one's output again after the final norm.

    Args:
        backbone: from load_backbone.
        processor: of the model.
        clips: where the clips are from.
        rows: of their index, videos all.
        truths: where the ground truth is.
        shown: how clips are put before the model.
        batch_rows: clips in one forward pass.
        name: of the model, for the progress.
    """

    def __init__(
        self,
        backbone: Any,
        processor: Any,
        clips: ClipSet,
        rows: Sequence[Any],
        truths: Store,
        *,
        shown: InputConfig,
        batch_rows: int,
        name: str,
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._backbone = backbone.to(self._device).eval()
        self._maker = BatchMaker(
            clips, None, processor, clips.questions, numeric="text", shown=shown, cache_mb=0
        )
        self._store, self._truths, self._rows = clips.store, truths, rows
        self._batch_rows, self._name = batch_rows, name
        # the states don't see it, but a row of a batch has a question
        self._question = self._maker.tokens.branch("Where is the camera?", None)
        text = backbone.config.text_config
        self.width: int = text.hidden_size
        self.norm: int = text.num_hidden_layers + 1
        """The number under which the final norm's output goes."""

    def __call__(self, layers: Sequence[int]) -> Iterator[ClipStates]:
        """All clips' states of some layers, one forward pass over the clips.

        Raises:
            UserError: when a clip's ground truth is damaged or of another video.
        """
        with progress(f"probe {self._name}", len(self._rows), "clips") as bar:
            for start in range(0, len(self._rows), self._batch_rows):
                rows = self._rows[start : start + self._batch_rows]
                yield from self._batch(rows, layers)
                bar.advance(len(rows))

    @torch.inference_mode()
    def _batch(self, rows: Sequence[Any], layers: Sequence[int]) -> list[ClipStates]:
        batch = self._maker.batch_of(
            [row.clip_id for row in rows], [[self._question]] * len(rows)
        ).to(self._device)
        visual_VD, deepstack = visual_features(self._backbone, batch)
        inside = [layer for layer in layers if layer != self.norm]
        with tap_layers(self._backbone, inside, batch.visual_V) as taps:
            last_BLD = text_states(self._backbone, batch, visual_VD, deepstack)
        if self.norm in layers:
            taps[self.norm] = last_BLD.flatten(0, 1)[batch.visual_V]
        merge = self._backbone.config.vision_config.spatial_merge_size
        found, start = [], 0
        for row, (T, down, across) in zip(rows, batch.grid_I3.tolist(), strict=True):
            grid = down // merge, across // merge
            end = start + T * grid[0] * grid[1]
            states = {
                layer: taps[layer][start:end].view(T, -1, self.width).float() for layer in layers
            }
            found.append(ClipStates(row.scene, clip_targets(self._truth(row), grid), states))
            start = end
        return found

    def _truth(self, row: Any) -> SceneTruth:
        """Of the first frame of each slot, as in training."""
        name = truth_name(row.scene)
        clip = read_clip(self._store, row)
        truth = read_truth(self._truths.get(name), name, clip, GROUND_TRUTH)
        if not bool((truth.depth_THW > 0).any()):
            raise UserError(f"{name}: no pixel of clip {row.clip_id} has a depth")
        first = torch.from_numpy(
            self._maker.geometry.slot_frames("video", len(truth.depth_THW))[:, 0]
        )
        return SceneTruth(
            truth.camera_from_world_T44[first], truth.intrinsics_T33[first], truth.depth_THW[first]
        )


class Replay:
    """What a pass gave, again and again: from memory while it fits, else by another pass.

    Args:
        make: the pass.
        most_bytes: of states that are kept.
    """

    def __init__(self, make: Callable[[], Iterator[ClipStates]], most_bytes: int) -> None:
        self._make, self._most = make, most_bytes
        self._kept: list[ClipStates] | None = None

    def __iter__(self) -> Iterator[ClipStates]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[ClipStates] | None = []
        size = 0
        for clip in self._make():
            size += sum(states.nbytes for states in clip.layers.values())
            if size > self._most:
                kept = None
            elif kept is not None:
                kept.append(clip)
            yield clip
        self._kept = kept
