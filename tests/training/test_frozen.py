"""What is frozen stays bit for bit; what is trained is in one optimiser group; what is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from geovr.data.dataset import BatchMaker
from geovr.data.lengths import RowLengths
from geovr.data.order import RowOrder, questions_by_clip
from geovr.data.steps import Budget, StepReader
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.storage import Store
from geovr.training.checkpoint import Checkpoints
from geovr.training.config import OptimConfig
from geovr.training.loop import LoopSettings, Trainer
from geovr.training.optim import freeze, make_optimizer
from tests.training.conftest import Prepared

VISUAL = "backbone.model.visual."
MERGER = VISUAL + "merger."
HEADS = HeadsConfig(
    camera_hidden=16, scale_hidden=8, depth_channels=(8, 8, 8, 8), depth_features=8, depth_patch=4
)
STEPS, CLIPS, QUESTIONS = 2, 3, 2


class Steps:
    """The real trainer over real clips, with a model whose frozen parts can be looked at."""

    def __init__(self, prepared: Prepared, root: Path, **optim: Any) -> None:
        torch.manual_seed(0)
        config = OptimConfig(learning_rate=1e-3, head_learning_rate=1e-3, **optim)
        backbone, processor = load_backbone(prepared.model)
        dim = int(prepared.targets.manifest.details["feature_dim"])
        self.model = GeoVR(backbone, HEADS, Objectives(), dim)
        freeze(backbone, config)
        self.optimizer = make_optimizer(self.model, config)
        self.before = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        asked = prepared.clips.questions.reset_index(drop=True)
        self.maker = BatchMaker(
            prepared.clips,
            prepared.targets,
            processor,
            asked,
            numeric="text",
            camera=True,
            scale=True,
        )
        by_clip = questions_by_clip(asked)
        self.reader = StepReader(
            self.maker,
            RowOrder(by_clip, QUESTIONS, 0),
            RowLengths(self.maker, by_clip),
            Budget(CLIPS, 2, None),
            0,
            1,
        )
        self.trainer = Trainer(
            self.model,
            self.optimizer,
            self.reader,
            Checkpoints(Store.open(str(root / "store")), "training/frozen", 1),
            config,
            LoopSettings(steps=STEPS, checkpoint_every=100),
            torch.device("cpu"),
        )

    def run(self) -> list[dict[str, float]]:
        return self.trainer.fit(lambda metrics, step: None)

    def moved(self) -> set[str]:
        """Parameters that are not, bit for bit, what they were."""
        now = dict(self.model.named_parameters())
        return {name for name, was in self.before.items() if not torch.equal(now[name], was)}


def test_the_frozen_vision_tower_gets_no_gradient_and_keeps_every_bit(
    prepared: Prepared, tmp_path: Path
) -> None:
    steps = Steps(prepared, tmp_path)
    steps.run()
    named = dict(steps.model.named_parameters())
    frozen = {name for name in named if name.startswith(VISUAL) and not name.startswith(MERGER)}
    assert any("blocks." in name for name in frozen)
    assert any("deepstack_merger" in name for name in frozen)
    assert all(named[name].grad is None for name in frozen)
    # all else learns: language model, merger, tokens, heads
    assert steps.moved() == set(named) - frozen


def test_no_graph_is_built_over_the_frozen_tower(prepared: Prepared, tmp_path: Path) -> None:
    """Its activations needn't be kept: memory, not only correctness."""
    steps = Steps(prepared, tmp_path)
    seen: list[bool] = []
    visual = steps.model.backbone.model.visual
    for module in [visual.patch_embed, *visual.blocks]:
        module.register_forward_hook(lambda m, i, out: seen.append(out.requires_grad))
    steps.run()
    assert seen and not any(seen)


@pytest.mark.parametrize("train_vision", [False, True])
def test_groups_are_disjoint_and_hold_all_that_learns(
    prepared: Prepared, tmp_path: Path, train_vision: bool
) -> None:
    steps = Steps(prepared, tmp_path, train_vision=train_vision)
    names = {id(p): name for name, p in steps.model.named_parameters()}
    backbone, heads = (
        [names[id(p)] for p in group["params"]] for group in steps.optimizer.param_groups
    )
    grouped = backbone + heads
    assert len(grouped) == len(set(grouped))
    learnt = {n for n, p in steps.model.named_parameters() if p.requires_grad}
    assert set(grouped) == learnt
    assert all(name.startswith("backbone.") for name in backbone)
    parts = {name.split(".")[0] for name in heads}
    tokens = {"camera_tokens", "scale_token"}
    assert parts == tokens | {"camera_head", "scale_head", "depth_head", "feature_heads"}
    blocks = {name for name in learnt if name.startswith(VISUAL + "blocks.")}
    assert bool(blocks) == train_vision


def test_a_parameter_outside_the_groups_is_refused(prepared: Prepared) -> None:
    backbone, _ = load_backbone(prepared.model)
    model = GeoVR(backbone, HEADS, Objectives(), 16)
    known = model.head_parameters()
    model.head_parameters = lambda: dict(list(known.items())[1:])  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="disjoint and complete"):
        make_optimizer(model, OptimConfig())
    model.head_parameters = lambda: dict(model.named_parameters())  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="disjoint and complete"):
        make_optimizer(model, OptimConfig())


def test_targets_are_numbers_and_no_teacher_is_in_the_model(
    prepared: Prepared, tmp_path: Path
) -> None:
    """Nothing of a teacher could take a gradient, or a place in a checkpoint."""
    steps = Steps(prepared, tmp_path)
    batch = steps.maker.batch(steps.reader.rows(0))
    for target in batch.targets:
        assert target is not None
        values = (v for v in vars(target).values() if isinstance(v, torch.Tensor))
        assert not any(value.requires_grad for value in values)
    modules = {type(module).__module__ for module in steps.model.modules()}
    assert all(m.startswith(("geovr.model", "torch.nn", "transformers.")) for m in modules)


def test_the_log_counts_the_samples_of_each_term(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one clip has no scale and another stands still; both are seen in the counts."""
    steps = Steps(prepared, tmp_path)
    rows = [row for step in range(STEPS) for row in steps.reader.rows(step)]
    unscaled, still = rows[0].clip_id, rows[1].clip_id
    assert unscaled != still
    real = BatchMaker.batch

    def lacking(self: BatchMaker, specs: Any) -> Any:
        batch = real(self, specs)
        changes = {unscaled: {"metric_scale_valid": False}, still: {"moving": False}}
        pairs = zip(batch.targets, specs, strict=True)
        targets = tuple(replace(t, **changes.get(s.clip_id, {})) for t, s in pairs if t is not None)
        return replace(batch, targets=targets)

    monkeypatch.setattr(BatchMaker, "batch", lacking)
    curve = steps.run()
    for step, metrics in enumerate(curve):
        shown = rows[step * CLIPS : (step + 1) * CLIPS]
        asked = {row.clip_id: len(row.questions) for row in shown}
        every = sum(len(row.questions) for row in shown)
        assert len(asked) == CLIPS
        counts = {n.split("/")[1]: v for n, v in metrics.items() if n.startswith("samples/")}
        assert counts.pop("text") > every  # labels: an answer has several tokens
        assert counts == {
            "questions": every,
            "depth": every,
            "features": every,
            "scale": every - asked.get(unscaled, 0),
            "camera": every - asked.get(still, 0),
        }


def test_what_a_training_leaves_holds_the_frozen_tower_as_it_was(
    prepared: Prepared, tmp_path: Path, tracked: None
) -> None:
    """By way of the stage: the exported vision tower is the base model's, its merger is not."""
    rates = {"learning_rate": 1e-3, "head_learning_rate": 1e-3}
    done = prepared.train(tmp_path, steps=1, optim=rates)
    export = tmp_path / "store" / done.details["prefix"]
    before, after = (load_file(d / "model.safetensors") for d in (prepared.model, export))
    assert set(before) == set(after)
    same = {name for name in before if torch.equal(before[name], after[name])}
    visual = {name for name in before if ".visual." in name}
    merger = {name for name in visual if ".visual.merger." in name}
    assert merger and visual - merger
    assert same & visual == visual - merger
