"""Recipes that validate and build, and plans whose figures have independent counterparts."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.artifacts import ClipSet
from geovr.model.architectures import config_of, empty_model, published_config
from geovr.model.config import HeadsConfig
from geovr.model.flops import (
    SampleShape,
    head_flops,
    language_flops,
    step_flops,
    teacher_flops,
    vision_flops,
)
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from geovr.planning.plan import DataOptions, make_plan, target_bytes
from geovr.planning.recipes import recipes
from geovr.stages import STAGES
from geovr.stages.run import stage_config
from geovr.training.config import TrainConfig
from pipelines.recipes import RECIPES, render
from tests.workspace import REPOSITORY, Workspace

VIDEO = SampleShape(32, (15, 20), 9952, 120, 6, (392, 504), (14, 18), 1024)


@functools.cache
def published(size: str) -> Any:
    return empty_model(published_config(size))


def test_files_are_what_the_recipes_say() -> None:
    """To change them: pipelines/recipes/__init__.py, then `python -m pipelines.recipes`."""
    assert {name: path.read_text() for name, path in recipes().items()} == {
        name: render(recipe) for name, recipe in RECIPES.items()
    }
    assert len(RECIPES) == 3 + 7 + 3 + 6 + 6


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_complete_and_builds(name: str) -> None:
    """Every section validates, and tokens and heads fit the architecture, without weights."""
    path = recipes()[name]
    configs = {stage.name: stage_config(stage, path, []) for stage in STAGES}
    train = configs["train"]
    assert isinstance(train, TrainConfig)
    size = RECIPES[name].size
    assert config_of(train.base_model).to_dict() == published_config(size).to_dict()
    dim = 1536 if RECIPES[name].teacher == "da3" else 1024
    with torch.device("meta"):
        model = GeoVR(published(size), train.heads, train.objectives, dim)
    heads = sum(p.numel() for p in model.head_parameters().values())
    assert (heads > 0) == train.objectives.any
    width = published_config(size).text_config.hidden_size
    tokens = 2 * width * train.objectives.camera + width * train.objectives.scale
    if RECIPES[name].ablation is False:
        # camera, scale, four feature heads and depth as published, in millions
        wanted = {"2B": 51.5, "4B": 56.1, "8B": 69.9}[size]
        assert (heads - tokens) / 1e6 == pytest.approx(wanted, abs=0.06)
        assert train.steps * 32 == pytest.approx(579_000, rel=1e-3)


@pytest.mark.parametrize(
    "size, total", [("2B", 2_127_532_032), ("4B", 4_437_815_808), ("8B", 8_767_123_696)]
)
def test_architectures_have_the_published_number_of_parameters(size: str, total: int) -> None:
    assert sum(p.numel() for p in published(size).parameters()) == total


def test_counted_arithmetic_is_that_of_a_formula(tmp_path: Path) -> None:
    """The tiny language model: 2 for each weight and token, 4 d for each pair; times three."""
    init_model("tiny", tmp_path / "tiny", seed=0)
    model = empty_model(config_of(str(tmp_path / "tiny")))
    text = model.model.language_model
    length, prefix = 96, 70
    weights = sum(p.numel() for n, p in text.named_parameters() if "proj" in n)
    config = text.config
    attended = config.num_attention_heads * config.head_dim
    pairs = prefix**2 + (length - prefix) * length
    wanted = 3 * (2 * weights * length + config.num_hidden_layers * 4 * pairs * attended)
    # the first layer's input gradient is counted too, and so is nothing else
    assert language_flops(text, length, prefix) == pytest.approx(wanted, rel=0.05)


def test_the_vision_formula_is_what_torch_counts(tmp_path: Path) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    init_model("tiny", tmp_path / "tiny", seed=0)
    backbone, _ = load_backbone(tmp_path / "tiny")
    vision = backbone.config.vision_config
    shape = SampleShape(3, (2, 4), 1, 1, 1, (1, 1), (1, 1), 1)
    grid = torch.tensor([[3, 4, 8]])
    patches = torch.randn(3 * 4 * 8, 3 * vision.patch_size**2)
    # the counter knows no formula of the CPU's fused kernel
    math = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), math:
        backbone.model.visual(patches, grid_thw=grid)
    assert vision_flops(vision, shape) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_head_arithmetic_grows_with_the_clip() -> None:
    one = head_flops(HeadsConfig(), 256, VIDEO)
    longer = SampleShape(**{**VIDEO.__dict__, "slots": 64})
    assert head_flops(HeadsConfig(), 256, longer) == pytest.approx(2 * one, rel=0.01)


def test_packing_and_caching_pay_as_the_goal_says() -> None:
    """At least 12 times less than teacher and question one by one, 2B with k = 8, 32 frames."""
    model = published("2B")
    reference = step_flops(model, HeadsConfig(), VIDEO, 1, every_logit=True).total
    teacher = teacher_flops(32, (392, 504))
    assert teacher / 1e12 == pytest.approx(22.8 + 22.8 + 122.9 + 22.8, rel=0.01)
    ours = step_flops(model, HeadsConfig(), VIDEO, 8).total / 8
    assert (reference + teacher) / ours > 12


def test_targets_take_what_the_plan_says() -> None:
    import numpy as np

    from geovr.data.target_format import TargetFormat
    from geovr.data.targets import GeometryTargets, encode

    shape = SampleShape(3, (1, 1), 1, 1, 1, (56, 84), (2, 3), 128)
    random = np.random.default_rng(0)
    targets = GeometryTargets(
        pose_encoding_TK=random.normal(size=(3, 9)),
        depth_THW=random.uniform(1, 2, (3, 56, 84)),
        confidence_THW=random.uniform(0, 1, (3, 56, 84)),
        metric_scale=1.0,
        metric_scale_valid=True,
        features_NTHWC=random.normal(size=(4, 3, 2, 3, 128)),
    )
    real = len(encode(targets, TargetFormat()))
    assert target_bytes(shape, {}) == pytest.approx(real, abs=1200)


def test_a_plan_of_the_demo_counts_what_is_there(workspace: Workspace) -> None:
    workspace.inline("ingest")
    told = json.loads(workspace.inline("plan", "--clips", "artifacts/clips", "--json"))
    clips = ClipSet.load(workspace.root / "artifacts/clips")
    assert told["data"]["clips"] == told["teacher"]["calls"] == 8
    train = clips.questions[clips.questions["split"] == "train"]
    assert told["data"]["training questions"] == len(train)
    assert told["tokens"]["visual tokens a slot"] == 4
    shown = workspace.inline("plan", "--clips", "artifacts/clips")
    assert "GPU hours" in shown and "TFLOP a question, k = 4 (this file)" in shown


def test_an_unknown_recipe_is_told_its_neighbours(workspace: Workspace) -> None:
    assert "similar: 2b-vggt-4gpu" in workspace.inline("plan", "--recipe", "2b-vgt", code=2)
    listed = workspace.inline("recipes")
    assert "table2-6-all" in listed and "The paper's score: 62.1" in listed


def test_a_plan_without_a_model_says_what_to_name(tmp_path: Path) -> None:
    params = tmp_path / "p.yaml"
    params.write_text((REPOSITORY / "params.yaml").read_text().replace("models/study", "models/my"))
    from geovr.errors import UserError

    with pytest.raises(
        UserError, match=r"models/my: no such directory, and its name tells no size"
    ):
        make_plan(params, clips=None, options=DataOptions())
