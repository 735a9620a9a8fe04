"""The training loop: the same code on one process or many.

Gradients are summed over ranks and every loss is divided by the global batch's counts, so a step
depends on the global batch alone, not on how many processes share it.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from geovr import distributed
from geovr.data.batch import Batch
from geovr.data.loader import read_ahead
from geovr.data.steps import StepReader
from geovr.errors import Interrupted, TrainingDiverged
from geovr.losses.objectives import TERMS
from geovr.losses.total import LossSums
from geovr.model.geovr import GeoVR
from geovr.progress import progress
from geovr.training.checkpoint import Checkpoints
from geovr.training.config import OptimConfig
from geovr.training.optim import rate_share, set_rate
from geovr.training.parallel import clip_gradients, parameter_groups, sum_replicated
from geovr.training.throughput import FlopModel, SystemMeter, peak_flops
from geovr.training.watchdog import Watchdog, watch

log = logging.getLogger("geovr")

MOST_SKIPPED = 10
"""Steps in a row that may be left out; after so many, waiting for a finite one is in vain."""
VOLATILE = ("time/", "system/")
"""Metrics that differ from run to run, and would make equal states unequal."""


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs beside the optimiser's config."""

    steps: int
    checkpoint_every: int
    precision: str = "float32"
    nonfinite: str = "stop"
    step_timeout_s: float = 1800.0
    seed: int = 0
    data_workers: int = 0
    """Processes that read ahead."""


class Trainer:
    """Runs steps; state is (model, optimiser, step), so resuming goes on where it stopped.

    Random numbers of a step are drawn from its number, the seed and the rank, and the schedule is
    a function of the step, so neither is state.
    """

    def __init__(
        self,
        model: GeoVR,
        optimizer: torch.optim.Optimizer,
        reader: StepReader,
        checkpoints: Checkpoints,
        optim: OptimConfig,
        settings: LoopSettings,
        device: torch.device,
    ) -> None:
        self.model, self.optimizer, self.reader = model, optimizer, reader
        self.checkpoints, self.optim, self.settings = checkpoints, optim, settings
        self.device = device
        self.groups = parameter_groups(model)
        self.rank, self.world = distributed.rank(), distributed.world_size()
        self.flops, self.meter = FlopModel(model), SystemMeter(device)
        self.peak = peak_flops(device, settings.precision)

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
            progress("train", steps, "steps", done=start) as bar,
            watch(self.settings.step_timeout_s) as dog,
            self.checkpoints.open(),
            read_ahead(self.reader, start, steps, workers=self.settings.data_workers) as ahead,
        ):
            for step in range(start, steps):
                dog.beat(step, 0)
                waited = time.perf_counter()
                batches = next(ahead)
                waited = time.perf_counter() - waited
                metrics = self._step(step, batches, waited, dog)
                stop = bool(self._sum([float(stopping.is_set())])[0])
                curve.append({"step": step, **metrics})
                if self.rank == 0:
                    log_metrics(metrics | self.meter.read(), step)
                self._require_progress(curve)
                bar.advance(1, f"loss {metrics.get('loss', float('nan')):.3f}")
                done = step + 1
                if done == steps or stop or done % self.settings.checkpoint_every == 0:
                    dog.beat(step, 3)
                    self._save(done, curve)
                if stop and done < steps:
                    self.checkpoints.wait()
                    raise Interrupted(
                        f"train: stopped after step {done} of {steps}; a checkpoint stands, the"
                        " same command goes on from it"
                    )
        return curve

    def _save(self, step: int, curve: list[dict[str, float]]) -> None:
        kept = [{k: v for k, v in m.items() if not k.startswith(VOLATILE)} for m in curve]
        recent = [m["loss"] for m in curve[-self.settings.checkpoint_every :] if "loss" in m]
        score = float(np.mean(recent)) if recent else float("nan")
        self.checkpoints.save(step, self.model, self.optimizer, {"curve": kept}, score)

    def _step(
        self, step: int, batches: list[Batch], waited: float, dog: Watchdog
    ) -> dict[str, float]:
        began = time.perf_counter()
        dog.beat(step, 1)
        seed_step(self.settings.seed, step, self.rank)
        counts, questions, tokens = self._counts(batches)
        sums = dict.fromkeys(TERMS, 0.0)
        self.optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            losses = self._forward(batch)
            torch.autograd.backward(losses.total(self.model.objectives, counts))
            for term, value in losses.items():
                sums[term] += float(value.detach())
        dog.beat(step, 2)
        sum_replicated(p for group in self.groups.values() for p in group)
        norms = clip_gradients(self.groups, self.optim.max_grad_norm)
        means = {
            term: value / max(counts[term], 1.0)
            for term, value in zip(TERMS, self._sum(list(sums.values())), strict=True)
        }
        objectives = self.model.objectives
        loss = sum(objectives.weight(term) * value for term, value in means.items())
        share = rate_share(step, self.settings.steps, self.optim)
        metrics = {
            "samples/questions": questions,
            "learning_rate": self.optim.learning_rate * share,
            "learning_rate/heads": self.optim.head_learning_rate * share,
        }
        if np.isfinite([loss, norms[""]]).all():
            set_rate(self.optimizer, share)
            self.optimizer.step()
            used = {t: v for t, v in means.items() if t == "text" or objectives.weight(t) > 0}
            metrics |= {"loss": loss, "grad_norm": norms[""]}
            metrics |= {f"loss/{term}": value for term, value in used.items()}
            metrics |= {f"grad_norm/{name}": norm for name, norm in norms.items() if name}
            metrics |= {f"samples/{term}": counts[term] for term in used}
        else:
            self._not_finite(step, means, norms)
            metrics["samples/skipped_steps"] = 1.0
        seconds = time.perf_counter() - began
        return metrics | self._speed(batches, questions, tokens, seconds, waited)

    def _counts(self, batches: Sequence[Batch]) -> tuple[dict[str, float], float, float]:
        """Of the global batch: samples of each term, questions and tokens."""
        per_batch = [batch.counts() for batch in batches]
        local = [sum(counts[term] for counts in per_batch) for term in TERMS]
        local += [float(sum(int(batch.questions_R.sum()) for batch in batches))]
        local += [float(sum(sum(batch.lengths_R) for batch in batches))]
        *summed, questions, tokens = self._sum(local)
        return dict(zip(TERMS, summed, strict=True)), questions, tokens

    def _speed(
        self,
        batches: Sequence[Batch],
        questions: float,
        tokens: float,
        seconds: float,
        waited: float,
    ) -> dict[str, float]:
        whole = seconds + waited
        speed = {
            "time/step_s": seconds,
            "time/data_wait_s": waited,
            "time/data_wait_share": waited / whole,
            "time/questions_per_s": questions / whole,
            "time/tokens_per_s": tokens / whole,
            "time/tflop_per_s": self.flops(batches) / whole / 1e12,
        }
        if self.peak is not None:
            speed["time/mfu"] = speed["time/tflop_per_s"] * 1e12 / self.peak
        return speed

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

    def _not_finite(self, step: int, means: dict[str, float], norms: dict[str, float]) -> None:
        """Keep what the step was made of, and stop unless such steps are to be left out."""
        rows = self.reader.rows(step)
        told: dict[str, Any] = {
            "step": step,
            "losses": {term: repr(value) for term, value in means.items()},
            "gradient_norms": {name or "all": repr(norm) for name, norm in norms.items()},
            "clips": {row.clip_id: self.reader.question_ids(row) for row in rows},
        }
        key = f"{self.checkpoints.prefix}/not_finite/step-{step:08d}.json"
        if self.rank == 0:
            self.checkpoints.store.put(key, json.dumps(told, indent=1).encode())
        message = (
            f"train: step {step} is not finite (losses {json.dumps(told['losses'])}, gradient norm"
            f" {norms['']}); its clips: {', '.join(sorted(told['clips']))}; they and their"
            f" questions stand in {self.checkpoints.store.uri_of(key)}"
        )
        if self.settings.nonfinite == "stop":
            raise TrainingDiverged(
                f"{message}; look at them with check_targets, lower the learning rate, or set"
                " train.nonfinite: skip"
            )
        log.warning("%s; left out", message)

    def _require_progress(self, curve: Sequence[dict[str, float]]) -> None:
        last = curve[-MOST_SKIPPED:]
        if len(last) == MOST_SKIPPED and all("loss" not in metrics for metrics in last):
            raise TrainingDiverged(
                f"train: {MOST_SKIPPED} steps in a row were not finite, the last of them"
                f" {int(last[-1]['step'])}; lower the learning rate"
            )


def seed_step(seed: int, step: int, rank: int) -> None:
    """Draw a step's random numbers, such as dropout's, from its number, on all devices."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))


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
