"""Checkpoints of a training in the store: torch.distributed.checkpoint's files, a manifest last.

A step without a manifest, or whose files are not what the manifest says, does not exist: loading
falls back to the one before and says so. Writing goes on beside training; older checkpoints go
only after the newer one stands.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from geovr import distributed
from geovr.errors import LostObject, StoreError, UserError
from geovr.model.geovr import GeoVR
from geovr.storage import Store
from geovr.training.checkpoint_files import METADATA, StoreReader, StoreWriter, own_copies

log = logging.getLogger("geovr")

_STATE = "state.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""AdamW's."""


class Checkpoints:
    """The checkpoints of one training, below a prefix of the store; every rank has one of these.

    Args:
        store: where.
        prefix: of this training; it hashes all that decides its result.
        keep: how many complete ones stay.
        keep_best: the one of the lowest score stays too.
        asynchronous: write beside training; at most one is under way.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        keep: int,
        *,
        keep_best: bool = True,
        asynchronous: bool = True,
    ) -> None:
        self.store, self.prefix, self.keep = store, prefix, keep
        self.keep_best, self.asynchronous = keep_best, asynchronous
        self._broken: set[int] = set()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._group: Any = None
        if distributed.world_size() > 1:
            # the trainer's own group is in use while a checkpoint is written
            self._group = torch.distributed.new_group(backend="gloo")

    def _step_prefix(self, step: int) -> str:
        return f"{self.prefix}/steps/{step:08d}"

    def complete_steps(self) -> list[int]:
        """Steps whose manifest stands, ascending."""
        manifests = [
            key for key in self.store.keys(f"{self.prefix}/steps") if key.endswith("/manifest.json")
        ]
        return sorted(int(key.split("/")[-2]) for key in manifests)

    def save(
        self,
        step: int,
        model: GeoVR,
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
        score: float = math.nan,
    ) -> None:
        """Write the state after `step` steps, then drop what need not stay. All ranks call it.

        Args:
            step: number of steps done.
            model: whose trained parameters are written.
            optimizer: whose moments are written.
            state: of rank 0, as JSON.
            score: the lower the better; the best one stays.

        Raises:
            StoreError: when this save, or the one before it, could not be written.
        """
        self.wait()
        tensors = own_copies(tensors_of(model, optimizer))
        told = json.dumps({"step": step, **state}).encode()
        self._pending = self._writer.submit(self._write, step, tensors, told, score)
        if not self.asynchronous:
            self.wait()

    def wait(self) -> None:
        """Wait for the save that is under way.

        Raises:
            StoreError: when it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Nothing is under way after the block; a failure of its own counts more than a save's."""
        try:
            yield
            self.wait()
        except BaseException:
            try:
                self.wait()
            except Exception as error:  # a StoreError, or what a lost rank leaves behind
                log.warning("%s", error)
            raise
        finally:
            self._writer.shutdown()

    def _write(
        self, step: int, tensors: dict[str, torch.Tensor], state: bytes, score: float
    ) -> None:
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.state_dict_saver import save

        prefix, first = self._step_prefix(step), distributed.rank() == 0
        writer = StoreWriter(self.store, prefix)
        error = ""
        try:
            if first and self.store.exists(f"{prefix}/manifest.json"):
                self.remove(step)  # a broken one, or it would have been loaded
            save(
                tensors,
                storage_writer=writer,
                process_group=self._group,
                no_dist=distributed.world_size() == 1,
            )
            if first:
                writer.digests[_STATE] = self.store.put(f"{prefix}/{_STATE}", state)
        except (Exception, CheckpointException) as failed:
            # whatever it is, the other ranks must hear of it
            error = _reason(failed)
        told = distributed.gather_objects((writer.digests, error), self._group)
        failures = [f"rank {rank}: {error}" for rank, (_, error) in enumerate(told) if error]
        if not failures and first:
            try:
                self._commit(step, {n: d for digests, _ in told for n, d in digests.items()}, score)
            except Exception as failed:
                failures = [_reason(failed)]
        failures = distributed.gather_objects(failures, self._group)[0]
        if failures:
            if first:
                self._remove_leftovers()
            raise StoreError(
                f"{self.store.uri_of(prefix)}: the checkpoint of step {step} can't be written"
                f" ({'; '.join(failures)}); make room or give access there; older checkpoints"
                " stand, and the same command goes on from the newest"
            )

    def _commit(self, step: int, files: dict[str, str], score: float) -> None:
        manifest = {
            "step": step,
            "files": files,
            "score": score if math.isfinite(score) else None,
            "processes": distributed.world_size(),
            "torch": torch.__version__,
        }
        key = f"{self._step_prefix(step)}/manifest.json"
        self.store.put(key, json.dumps(manifest, sort_keys=True).encode())
        self._broken.discard(step)
        for old in self._superfluous():
            try:
                self.remove(old)
            except (OSError, StoreError) as error:
                log.warning("checkpoint of step %d can't be removed: %s", old, error)

    def _superfluous(self) -> list[int]:
        sound = [step for step in self.complete_steps() if step not in self._broken]
        stay: set[int | None] = set(sound[-self.keep :])
        if self.keep_best:
            stay.add(self.best_step())
        return sorted((set(sound) | self._broken) - stay)

    def _score(self, step: int) -> float | None:
        try:
            score = self._manifest(step).get("score")
        except (LostObject, ValueError):
            return None
        return None if score is None else float(score)

    def best_step(self) -> int | None:
        """The step of the lowest score that stands, of equal ones the newest; None without any."""
        scores = {
            step: score
            for step in self.complete_steps()
            if step not in self._broken and (score := self._score(step)) is not None
        }
        return min(scores, key=lambda step: (scores[step], -step), default=None)

    def remove(self, step: int) -> None:
        """Delete one step, its manifest first, so that a half-deleted one doesn't count."""
        prefix = self._step_prefix(step)
        self.store.remove(f"{prefix}/manifest.json")
        for key in self.store.keys(prefix):
            self.store.remove(key)

    def _remove_leftovers(self) -> None:
        """Files of saves that never ended."""
        self.store.remove_partial(f"{self.prefix}/steps")
        complete = {self._step_prefix(step) for step in self.complete_steps()}
        for key in self.store.keys(f"{self.prefix}/steps"):
            if key.rpartition("/")[0] not in complete:
                try:
                    self.store.remove(key)
                except (OSError, StoreError) as error:
                    log.warning("%s can't be removed: %s", self.store.uri_of(key), error)

    def load_latest(self, model: GeoVR, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put the newest sound checkpoint into model and optimiser; gives its state.

        All ranks call it, whatever their number was when it was written. None when there is none;
        a broken one is named in the log and passed over.

        Raises:
            UserError: when it is of a model with other parameters.
            StoreError: when the store doesn't answer: what can't be read now is not broken.
        """
        first = distributed.rank() == 0
        if first:
            self._remove_leftovers()
        steps = self.complete_steps()[::-1] if first else []
        for step in distributed.broadcast_object(steps):
            files, error = self._verify(step)
            if error:
                self._broken.add(step)
                if first:
                    log.warning(
                        "checkpoint of step %d is broken, trying the one before: %s", step, error
                    )
                continue
            return self._load(step, files, model, optimizer)
        return None

    def _verify(self, step: int) -> tuple[dict[str, str], str]:
        """Digests of its files, and what is wrong with it; ranks share the reading."""
        files: dict[str, str] = {}
        broken = away = ""
        try:
            files = self._manifest(step)["files"]
            for name in sorted(files)[distributed.rank() :: distributed.world_size()]:
                self.store.get(f"{self._step_prefix(step)}/{name}", files[name])
        except (LostObject, ValueError) as error:
            broken = str(error)
        except StoreError as error:
            away = str(error)
        told = distributed.gather_objects((broken, away))
        if away := next((reason for _, reason in told if reason), ""):
            raise StoreError(away)
        return files, next((reason for reason, _ in told if reason), "")

    def _manifest(self, step: int) -> dict[str, Any]:
        key = f"{self._step_prefix(step)}/manifest.json"
        manifest = json.loads(self.store.get(key))
        files = manifest.get("files") if isinstance(manifest, dict) else None
        if not isinstance(files, dict) or not {METADATA, _STATE} <= set(files):
            raise ValueError(f"{self.store.uri_of(key)} doesn't list its files")
        return dict(manifest)

    def _load(
        self, step: int, files: dict[str, str], model: GeoVR, optimizer: torch.optim.Optimizer
    ) -> dict[str, Any]:
        from torch.distributed.checkpoint.state_dict_loader import load

        prefix = self._step_prefix(step)
        reader = StoreReader(self.store, prefix, files)
        saved = reader.read_metadata().state_dict_metadata
        sizes = {name: tuple(getattr(entry, "size", ())) for name, entry in saved.items()}
        tensors = places_for(sizes, model, optimizer, self.store.uri_of(prefix))
        load(
            tensors,
            storage_reader=StoreReader(self.store, prefix, files),
            no_dist=distributed.world_size() == 1,
        )
        state: dict[str, Any] = json.loads(self.store.get(f"{prefix}/{_STATE}", files[_STATE]))
        return state


def trainable(model: GeoVR) -> dict[str, torch.nn.Parameter]:
    """What a checkpoint holds; frozen parameters are those of the base model, which is an input."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def tensors_of(model: GeoVR, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Trained parameters and the optimiser's moments by name, whole or as shards."""
    parameters = trainable(model)
    names = {id(parameter): name for name, parameter in parameters.items()}
    tensors = {f"model/{name}": p.detach() for name, p in parameters.items()}
    for parameter, values in optimizer.state.items():
        for kind in _MOMENTS:
            tensors[f"optimizer/{names[id(parameter)]}/{kind}"] = values[kind]
    return tensors


def places_for(
    sizes: dict[str, tuple[int, ...]],
    model: GeoVR,
    optimizer: torch.optim.Optimizer,
    place: str,
) -> dict[str, torch.Tensor]:
    """Where the tensors of a checkpoint belong; moments are made as their parameters are.

    Args:
        sizes: of the checkpoint's tensors.
        model: to fill.
        optimizer: to fill.
        place: of the checkpoint, for messages.

    Raises:
        UserError: naming tensors that only one side has, or that differ in size.
    """
    parameters = trainable(model)
    wanted = {f"model/{name}": tuple(p.shape) for name, p in parameters.items()}
    found = {name: size for name, size in sizes.items() if name.startswith("model/")}
    different = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    if different:
        name = different[0]
        raise UserError(
            f"{place}: this checkpoint is of another model: {len(different)} parameters differ,"
            f" e.g. {name.removeprefix('model/')}: {found.get(name, 'absent')} there,"
            f" {wanted.get(name, 'absent')} here; train from the start under another config, or"
            " restore the base model it was made from"
        )
    tensors: dict[str, torch.Tensor] = {f"model/{n}": p.detach() for n, p in parameters.items()}
    for name in sizes:
        if name.startswith("optimizer/"):
            owner, _, kind = name.removeprefix("optimizer/").rpartition("/")
            parameter = parameters[owner]
            # `step` stays whole and on the CPU, as AdamW keeps it
            empty = torch.zeros(()) if kind == "step" else torch.zeros_like(parameter.detach())
            optimizer.state[parameter][kind] = empty
            tensors[name] = empty
    return tensors


def _reason(error: BaseException) -> str:
    """What happened, without torch's traceback.

    Raises:
        BaseException: what is no failure of writing, such as KeyboardInterrupt, as it was.
    """
    causes = [failed[0] for failed in getattr(error, "failures", {}).values()] or [error]
    for cause in causes:
        if not isinstance(cause, Exception):
            raise cause
    return "; ".join(dict.fromkeys(str(cause) or type(cause).__name__ for cause in causes))
