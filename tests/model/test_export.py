"""What is exported is the trained model, for people who have nothing of ours installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from geovr.data.frames import FrameGeometry
from geovr.errors import UserError
from geovr.losses.objectives import Objectives
from geovr.model.config import LoraConfig
from geovr.model.forward import load_backbone, prepare_backbone
from geovr.model.geovr import GeoVR
from geovr.model.heads_file import attach_heads, encode_heads
from geovr.model.initialise import init_model
from geovr.model.lora import add_adapters, merge_adapters
from geovr.training.config import OptimConfig
from geovr.training.optim import make_optimizer
from tests.model.test_media import SAMPLES, draw, stock_inputs
from tests.model.test_packing import SMALL_HEADS, clip, make_batch, random_targets

STOCK = Path(__file__).parents[1] / "stock.py"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return path


def train_a_little(model: GeoVR, processor: Any) -> None:
    batch = make_batch(processor, [(clip(3), [0, 1, 2], random_targets(3).to(torch.device("cpu")))])
    optimizer = make_optimizer(model, OptimConfig(learning_rate=1e-2, head_learning_rate=1e-2))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"]
    for _ in range(3):
        optimizer.zero_grad()
        torch.autograd.backward(model(batch).total(model.objectives, batch.counts()))
        optimizer.step()


def logits_of_a_stock_process(directory: Path, inputs: dict[str, Any], root: Path) -> torch.Tensor:
    save_file({name: tensor.contiguous() for name, tensor in inputs.items()}, root / "inputs")
    subprocess.run(
        [
            sys.executable,
            str(STOCK),
            "logits",
            str(directory),
            str(root / "inputs"),
            str(root / "out"),
        ],
        check=True,
        cwd=root,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    return load_file(root / "out")["logits"]


@pytest.mark.parametrize("lora", [False, True])
def test_a_stock_process_gives_the_trained_models_logits(
    directory: Path, tmp_path: Path, lora: bool
) -> None:
    torch.manual_seed(0)
    backbone, processor = load_backbone(directory)
    before = {name: p.detach().clone() for name, p in backbone.named_parameters()}
    if lora:
        add_adapters(backbone, LoraConfig(rank=4, alpha=32))
    model = GeoVR(backbone, SMALL_HEADS, Objectives(), 16)
    train_a_little(model, processor)
    media = draw(SAMPLES["mixed"])
    inputs = stock_inputs(processor, media, FrameGeometry.of(processor).temporal)
    model.eval()
    with torch.no_grad():
        wanted = backbone(**inputs).logits
    merged = merge_adapters(backbone)
    layers = backbone.config.text_config.num_hidden_layers
    assert merged == (7 * layers if lora else 0)
    assert {name for name, _ in backbone.named_parameters()} == set(before)
    assert any(not torch.equal(p, before[name]) for name, p in backbone.named_parameters())
    backbone.save_pretrained(tmp_path / "export")
    processor.save_pretrained(tmp_path / "export")
    found = logits_of_a_stock_process(tmp_path / "export", inputs, tmp_path)
    if lora:
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
        assert torch.equal(found.argmax(-1), wanted.argmax(-1))
    else:
        assert torch.equal(found, wanted)


def test_adapters_train_and_nothing_else_of_the_backbone(directory: Path) -> None:
    backbone, processor = load_backbone(directory)
    add_adapters(backbone, LoraConfig(rank=2))
    model = GeoVR(backbone, SMALL_HEADS, Objectives(), 16)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train_a_little(model, processor)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    adapters = {n for n in before if "lora_" in n}
    heads = set(model.head_parameters())
    assert adapters and adapters <= changed
    assert changed <= adapters | heads
    assert {"camera_tokens", "scale_token"} <= changed


def test_a_target_that_no_layer_has_is_named(directory: Path) -> None:
    backbone, _ = load_backbone(directory)
    with pytest.raises(UserError, match=r"train.lora.targets: wq.*q_proj"):
        add_adapters(backbone, LoraConfig(targets=("wq",)))


def test_heads_make_the_round_trip(directory: Path) -> None:
    torch.manual_seed(3)
    backbone, processor = load_backbone(directory)
    model = GeoVR(backbone, SMALL_HEADS, Objectives(depth_weight=0.5), 16)
    data = encode_heads(model, "base")
    assert data == encode_heads(model, "base")
    again = attach_heads(backbone, data, "heads.safetensors")
    assert again.objectives == model.objectives and again.heads_config == model.heads_config
    batch = make_batch(processor, [(clip(3), [0], random_targets(3))])
    with torch.no_grad():
        assert {k: float(v) for k, v in model(batch).items()} == {
            k: float(v) for k, v in again(batch).items()
        }


def test_heads_of_another_model_or_torn_are_refused(directory: Path) -> None:
    backbone, _ = load_backbone(directory)
    model = GeoVR(backbone, SMALL_HEADS, Objectives(), 16)
    data = encode_heads(model, "base")
    with pytest.raises(UserError, match=r"h\.safetensors: not a heads"):
        attach_heads(backbone, data[:-9], "h.safetensors")
    with pytest.raises(UserError, match=r"not a heads\.safetensors"):
        attach_heads(backbone, save({"x": torch.zeros(1)}), "h.safetensors")
    bare = GeoVR(
        backbone,
        SMALL_HEADS,
        Objectives(camera=False, depth=False, scale=False, features=False),
        16,
    )
    with pytest.raises(UserError, match="without geometric objectives"):
        attach_heads(backbone, encode_heads(bare, "base"), "h.safetensors")
    from transformers import Qwen3VLForConditionalGeneration

    config = backbone.config.__class__.from_dict(backbone.config.to_dict())
    config.text_config.num_hidden_layers = 3
    config.vision_config.deepstack_visual_indexes = [0]
    other = prepare_backbone(Qwen3VLForConditionalGeneration(config))
    with pytest.raises(UserError, match="made for a model of width"):
        attach_heads(other, data, "h.safetensors")
