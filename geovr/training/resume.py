"""Going on from where another training stands: its newest sound checkpoint becomes the first one.

The checkpoint is copied, so that the new training stays what it is while the other one goes on,
sweeps its checkpoints or is deleted.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import torch

from geovr import distributed
from geovr.errors import UserError
from geovr.model.geovr import GeoVR
from geovr.storage import Store, StoreError
from geovr.training.checkpoint import Checkpoints
from geovr.training.config import TrainConfig
from geovr.training.record import prefix_of

log = logging.getLogger("geovr")


def open_checkpoints(config: TrainConfig, store: Store, prefix: str) -> Checkpoints:
    """The checkpoints of a training, those of the training it goes on from behind them."""
    keep, best, beside = config.keep_checkpoints, config.keep_best, config.async_checkpoints
    if config.resume_from is None:
        return Checkpoints(store, prefix, keep, keep_best=best, asynchronous=beside)
    return ResumedCheckpoints(
        store,
        prefix,
        keep,
        keep_best=best,
        asynchronous=beside,
        origin=config.resume_from,
        steps=config.steps,
    )


class ResumedCheckpoints(Checkpoints):
    """Checkpoints of a training that goes on from another one's newest sound checkpoint.

    Args:
        store, prefix, keep, options: as of any training's.
        origin: key of that training.
        steps: of this training.
    """

    def __init__(
        self, store: Store, prefix: str, keep: int, *, origin: str, steps: int, **options: bool
    ) -> None:
        super().__init__(store, prefix, keep, **options)
        self.origin, self.steps = origin, steps

    def load_latest(self, model: GeoVR, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """As of any training; with none of its own that is sound, the origin's is copied first.

        Raises:
            UserError: when the origin has no sound one either, or is done with as many steps.
            StoreError: when the copy can't be written.
        """
        state = super().load_latest(model, optimizer)
        if state is None:
            self._adopt()
            state = super().load_latest(model, optimizer)
        return state

    def _adopt(self) -> None:
        origin = Checkpoints(self.store, prefix_of(self.origin), keep=1)
        for step in distributed.broadcast_object(origin.complete_steps()[::-1]):
            files, error = origin._verify(step)
            if not error:
                break
            log.warning(
                "checkpoint of step %d of training %s is broken, trying the one before: %s",
                step,
                self.origin,
                error,
            )
        else:
            raise UserError(
                f"train.resume_from: {self.store.uri_of(origin.prefix)} has no sound checkpoint;"
                " name another training, or remove the key to train from the start"
            )
        if step >= self.steps:
            raise UserError(
                f"train.resume_from: training {self.origin} stands at step {step}, so train.steps"
                f" {self.steps} leave nothing to train; raise train.steps"
            )
        self._copy(origin, step, files)
        log.info("train: going on from step %d of training %s", step, self.origin)

    def _copy(self, origin: Checkpoints, step: int, files: dict[str, str]) -> None:
        """Ranks share the files; the manifest comes last, without a score of another loss."""
        rank, world = distributed.rank(), distributed.world_size()
        source, target = origin._step_prefix(step), self._step_prefix(step)
        told = {"key": self.origin, "step": step}
        error = ""
        try:
            if rank == 0:
                self.store.put(f"{self.prefix}/resumed.json", json.dumps(told).encode())
            for name in sorted(files)[rank::world]:
                self.store.put(f"{target}/{name}", self.store.get(f"{source}/{name}", files[name]))
        except (StoreError, OSError) as failed:
            error = str(failed)
        error = next((e for e in distributed.gather_objects(error) if e), "")
        if error:
            raise StoreError(
                f"{self.store.uri_of(target)}: the checkpoint of training {self.origin} can't be"
                f" copied ({error}); when that is mended, the same command tries again"
            )
        if rank == 0:
            manifest = origin._manifest(step) | {"score": None, "resumed_from": told}
            key = f"{target}/manifest.json"
            self.store.put(key, json.dumps(manifest, sort_keys=True).encode())
        self._broken.discard(step)
