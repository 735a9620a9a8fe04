"""A loss or gradient that isn't finite: named and kept, and the training stopped or gone on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.errors import TrainingDiverged
from geovr.losses.total import LossSums
from geovr.training.loop import MOST_SKIPPED, Trainer
from tests.training.conftest import Prepared

pytestmark = pytest.mark.usefixtures("tracked")


def spoil(patch: pytest.MonkeyPatch, steps: set[int], where: str) -> None:
    """Make the loss, or only its gradient, NaN in some steps."""
    original, step = Trainer._forward, Trainer._step
    at = -1

    def stepping(self: Trainer, number: int, *rest: Any) -> dict[str, float]:
        nonlocal at
        at = number
        return step(self, number, *rest)

    def forward(self: Trainer, batch: Any) -> LossSums:
        losses = original(self, batch)
        if at in steps:
            if where == "loss":
                losses["text"] = losses["text"] * torch.tensor(float("nan"))
            else:
                losses["text"].register_hook(lambda grad: grad * float("inf"))
        return losses

    patch.setattr(Trainer, "_step", stepping)
    patch.setattr(Trainer, "_forward", forward)


@pytest.mark.fault(37)
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_it_stops_and_keeps_the_batch_by_name(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    spoil(monkeypatch, {2}, where)
    with pytest.raises(TrainingDiverged, match="step 2 is not finite") as caught:
        prepared.train(tmp_path)
    (kept,) = tmp_path.glob("store/training/*/not_finite/step-00000002.json")
    told = json.loads(kept.read_text())
    assert told["step"] == 2 and str(kept) in str(caught.value)
    known = prepared.clips.questions.set_index("id")["clip_id"]
    assert len(told["clips"]) == 2
    for clip_id, questions in told["clips"].items():
        assert clip_id in str(caught.value)
        assert questions and set(known[questions]) == {clip_id}
    stand = tmp_path.glob("store/training/*/steps/*/manifest.json")
    assert sorted(path.parent.name for path in stand) == ["00000001", "00000002"]


@pytest.mark.fault(37)
def test_it_is_left_out_and_counted_when_configured(
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spoil(monkeypatch, {1, 3}, "gradient")
    with caplog.at_level(logging.WARNING, logger="geovr"):
        result = prepared.train(tmp_path, nonfinite="skip")
    assert caplog.text.count("left out") == 2
    assert [m.get("samples/skipped_steps", 0.0) for m in result.curve] == [0, 1, 0, 1]
    assert ["loss" in m for m in result.curve] == [True, False, True, False]
    assert result.details["final_loss"] == result.curve[2]["loss"]


@pytest.mark.fault(37)
def test_a_step_left_out_changes_nothing(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights after it are those before it: moments, too, are not touched."""
    seen: list[bytes] = []
    step = Trainer._step

    def stepping(self: Trainer, number: int, *rest: Any) -> dict[str, float]:
        state = [*self.model.parameters()]
        state += [v for values in self.optimizer.state.values() for v in values.values()]
        seen.append(b"".join(p.detach().numpy().tobytes() for p in state))
        return step(self, number, *rest)

    monkeypatch.setattr(Trainer, "_step", stepping)
    spoil(monkeypatch, {1}, "loss")
    prepared.train(tmp_path, nonfinite="skip", steps=3)
    assert seen[1] == seen[2] and len(seen[0]) < len(seen[1])


def test_too_many_in_a_row_stop_it_all_the_same(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, set(range(100)), "loss")
    with pytest.raises(TrainingDiverged, match=f"{MOST_SKIPPED} steps in a row"):
        prepared.train(tmp_path, nonfinite="skip", steps=MOST_SKIPPED + 2)
