"""The training loop: the same code on one process or many.

Gradients are summed over ranks and every loss is divided by the global batch's counts, so a step
depends on the global batch alone, not on how many processes share it.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from geovr import distributed
from geovr.data.batch import Batch
from geovr.data.dataset import BatchMaker, RowOrder
from geovr.errors import Interrupted, TrainingDiverged
from geovr.losses.objectives import TERMS
from geovr.losses.total import LossSums
from geovr.model.geovr import GeoVR
from geovr.progress import progress
from geovr.training.checkpoint import Checkpoints
from geovr.training.config import OptimConfig
from geovr.training.optim import rate_share, set_rate


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs beside the optimiser's config."""

    steps: int
    clips_per_batch: int
    """Rows of the global batch."""
    clips_per_forward: int
    """Rows in one forward pass of one process; the rest is accumulated."""
    checkpoint_every: int
    precision: str


class Trainer:
    """Runs steps; state is (model, optimiser, RNG, step), so resuming goes on where it stopped."""

    def __init__(
        self,
        model: GeoVR,
        optimizer: torch.optim.Optimizer,
        order: RowOrder,
        maker: BatchMaker,
        checkpoints: Checkpoints,
        optim: OptimConfig,
        settings: LoopSettings,
        device: torch.device,
    ) -> None:
        self.model, self.optimizer, self.order, self.maker = model, optimizer, order, maker
        self.checkpoints, self.optim, self.settings = checkpoints, optim, settings
        self.device = device
        self.trainable = [p for p in model.parameters() if p.requires_grad]
        self.rank, self.world = distributed.rank(), distributed.world_size()

    def fit(self, log_metrics: Callable[[dict[str, float], int], None]) -> list[dict[str, float]]:
        """Train to the last step, from the newest checkpoint on.

        Args:
            log_metrics: called by rank 0 with each step's metrics.

        Returns:
            the metrics of every step, those before a resume included.

        Raises:
            Interrupted: after SIGTERM or SIGINT, once a checkpoint stands.
            TrainingDiverged: naming the clips of the step.
        """
        state = self.checkpoints.load_latest(self.model, self.optimizer)
        start = int(state["step"]) if state else 0
        curve: list[dict[str, float]] = list(state["curve"]) if state else []
        steps = self.settings.steps
        if self.rank == 0:
            # of a process that died they may never have arrived; known steps are dropped
            for metrics in curve:
                log_metrics(_without_step(metrics), int(metrics["step"]))
        self.model.train()
        with (
            _stop_signal() as stopping,
            progress("train", steps, "steps") as bar,
            ThreadPoolExecutor(1) as reader,
        ):
            bar.advance(start)
            ahead = reader.submit(self._batches, start)
            for step in range(start, steps):
                waited = time.perf_counter()
                batches = ahead.result()
                waited = time.perf_counter() - waited
                if step + 1 < steps:
                    ahead = reader.submit(self._batches, step + 1)
                metrics = self._step(step, batches, waited)
                stop = bool(self._sum([float(stopping.is_set())])[0])
                curve.append({"step": step, **metrics})
                if self.rank == 0:
                    log_metrics(metrics, step)
                bar.advance(1, f"loss {metrics['loss']:.3f}")
                done = step + 1
                if done == steps or stop or done % self.settings.checkpoint_every == 0:
                    self._save(done, curve)
                if stop and done < steps:
                    raise Interrupted(
                        f"train: stopped after step {done} of {steps}; a checkpoint stands, the"
                        " same command goes on from it"
                    )
        return curve

    def _save(self, step: int, curve: list[dict[str, float]]) -> None:
        if self.rank == 0:
            # times differ from run to run and would make equal states unequal
            kept = [{k: v for k, v in m.items() if not k.startswith("time/")} for m in curve]
            self.checkpoints.save(step, self.model, self.optimizer, {"curve": kept})
        distributed.barrier()

    def _batches(self, step: int) -> list[Batch]:
        """This rank's share of a step's rows, in forward-sized batches."""
        first = step * self.settings.clips_per_batch
        specs = [
            self.order.row(first + place)
            for place in range(self.rank, self.settings.clips_per_batch, self.world)
        ]
        size = self.settings.clips_per_forward
        return [self.maker.batch(specs[at : at + size]) for at in range(0, len(specs), size)]

    def _step(self, step: int, batches: list[Batch], waited: float) -> dict[str, float]:
        began = time.perf_counter()
        per_batch = [batch.counts() for batch in batches]
        questions = sum(float(batch.questions_R.sum()) for batch in batches)
        local = [sum(counts[term] for counts in per_batch) for term in TERMS] + [questions]
        *summed, questions = self._sum(local)
        counts = dict(zip(TERMS, summed, strict=True))
        sums = dict.fromkeys(TERMS, 0.0)
        self.optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            losses = self._forward(batch)
            torch.autograd.backward(losses.total(self.model.objectives, counts))
            for term, value in losses.items():
                sums[term] += float(value.detach())
        self._sum_gradients()
        norm = float(torch.nn.utils.clip_grad_norm_(self.trainable, self.optim.max_grad_norm))
        means = {
            term: value / max(counts[term], 1.0)
            for term, value in zip(TERMS, self._sum(list(sums.values())), strict=True)
        }
        objectives = self.model.objectives
        loss = sum(objectives.weight(term) * value for term, value in means.items())
        if not (torch.isfinite(torch.tensor([loss, norm])).all()):
            raise TrainingDiverged(self._name_batch(step, means, norm))
        share = rate_share(step, self.settings.steps, self.optim)
        set_rate(self.optimizer, share)
        self.optimizer.step()
        used = {t: v for t, v in means.items() if t == "text" or objectives.weight(t) > 0}
        seconds = time.perf_counter() - began
        return {
            "loss": loss,
            **{f"loss/{term}": value for term, value in used.items()},
            "grad_norm": norm,
            "learning_rate": self.optim.learning_rate * share,
            "samples/questions": questions,
            **{f"samples/{term}": counts[term] for term in used},
            "time/step_s": seconds,
            "time/data_wait_s": waited,
            "time/questions_per_s": questions / (seconds + waited),
        }

    def _forward(self, batch: Batch) -> LossSums:
        autocast = self.settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            losses: LossSums = self.model(batch.to(self.device))
        return losses

    def _sum(self, values: list[float]) -> list[float]:
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def _sum_gradients(self) -> None:
        """Sum gradients over ranks in one message; a parameter unused here counts as zero."""
        if self.world == 1:
            return
        for p in self.trainable:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in self.trainable if p.grad is not None]
        flat = torch.cat([grad.reshape(-1) for grad in grads])
        torch.distributed.all_reduce(flat)
        at = 0
        for grad in grads:
            grad.copy_(flat[at : at + grad.numel()].view_as(grad))
            at += grad.numel()

    def _name_batch(self, step: int, means: dict[str, float], norm: float) -> str:
        first = step * self.settings.clips_per_batch
        clips = sorted(
            {self.order.row(first + i).clip_id for i in range(self.settings.clips_per_batch)}
        )
        return (
            f"train: step {step} is not finite (losses {json.dumps(means)}, gradient norm {norm});"
            f" its clips: {', '.join(clips)}; look at them with check_targets, or lower the"
            " learning rate"
        )


def _without_step(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "step"}


@contextmanager
def _stop_signal() -> Iterator[Any]:
    """An event that SIGTERM and SIGINT set, so that the step in hand ends and is saved."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {
        number: signal.signal(number, lambda *_: event.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
