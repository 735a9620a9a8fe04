"""Frames of a teacher's size; weights that are what they claim to be; licences that follow them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from geovr.config import validate
from geovr.errors import UserError
from geovr.stages.extract_targets import ExtractTargetsConfig
from geovr.teachers.config import (
    DepthAnything3Config,
    MetricConfig,
    VggtConfig,
    VggtOmegaConfig,
    WeightsConfig,
)
from geovr.teachers.frames import frame_size, normalise, resize_frames
from geovr.teachers.licenses import TEACHER_WEIGHTS, card_of, compose
from geovr.teachers.weights import lazy_network
from tests.workspace import REPOSITORY

COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("height", "width", "longer", "multiple", "expected"),
    [
        (480, 640, 504, 28, (392, 504)),
        (480, 640, 512, 32, (384, 512)),
        (640, 480, 504, 28, (504, 392)),
        (1080, 1920, 504, 28, (280, 504)),
        (100, 100, 504, 28, (504, 504)),
        (10, 4000, 504, 28, (28, 504)),
    ],
)
def test_frames_become_the_papers_size(
    height: int, width: int, longer: int, multiple: int, expected: tuple[int, int]
) -> None:
    assert frame_size(height, width, longer, multiple) == expected


def test_frames_are_pillows_bicubic_in_unit_range() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 30, 50, 3), dtype=np.uint8)
    images = resize_frames(frames, (56, 84))
    assert images.shape == (2, 3, 56, 84) and images.dtype == torch.float32
    for frame, image in zip(frames, images, strict=True):
        expected = np.asarray(Image.fromarray(frame).resize((84, 56), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(np.rint(image.permute(1, 2, 0).numpy() * 255), expected)
    white = normalise(torch.ones(1, 1, 3, 2, 2))[0, 0, :, 0, 0]
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(white, expected, rtol=1e-6)


class Small(nn.Module):
    """A network with a part that the teacher does without."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(3, 4)
        self.head = nn.Linear(4, 2)


def written(path: Path, change: dict[str, torch.Tensor | None] | None = None) -> nn.Module:
    """A file as upstream publishes it: all names prefixed, a part more than is used."""
    torch.manual_seed(1)
    network = Small()
    tensors = {f"model.{n}": t.clone() for n, t in network.state_dict().items()}
    tensors["model.extra.weight"] = torch.ones(2)
    for name, tensor in (change or {}).items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return network


def load(**weights: Any) -> tuple[Small, str]:
    config = validate(WeightsConfig, weights, source="test")
    lazy = lazy_network(Small, "VGGT-1B", config, prefix="model.", unused=("extra.",))
    return lazy.load(), lazy.digest


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_come_as_they_were_written_and_stay_frozen(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    original = written(path)
    network, digest = load(path=str(path), sha256=sha256(path))
    assert digest == sha256(path)
    for name, tensor in original.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_a_directory_is_searched_and_a_safetensors_digest_recorded(tmp_path: Path) -> None:
    written(tmp_path / "model.safetensors")
    assert load(path=str(tmp_path))[1] == sha256(tmp_path / "model.safetensors")


def test_random_weights_are_the_seeds_and_leave_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    (one, digest), (same, _), (other, _) = (load(random_init=s) for s in (3, 3, 4))
    assert digest == "random-init-3"
    assert torch.equal(one.trunk.weight, same.trunk.weight)
    assert not torch.equal(one.trunk.weight, other.trunk.weight)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.fault(49, 55)
def test_another_file_than_the_named_one_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"not even a pickle")
    with pytest.raises(UserError, match=f"sha256 is {sha256(path)}, but"):
        load(path=str(path), sha256="0" * 64)


@pytest.mark.fault(49)
def test_a_pickle_without_a_known_digest_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"give weights\.sha256"):
        load(path=str(tmp_path / "model.pt"))


class Planted:
    """Unpickled by something that runs code, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.fault(49)
def test_code_in_a_pickle_does_not_run_though_its_digest_is_right(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    torch.save({"model.trunk.weight": Planted(trace)}, path)
    with pytest.raises(UserError, match="not a weights file"):
        load(path=str(path), sha256=sha256(path))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.head.bias": None}, r"lacks 1 tensors, such as head\.bias"),
        ({"model.tail.bias": torch.ones(1)}, r"unknown 1 tensors, such as tail\.bias"),
        ({"model.head.bias": torch.ones(7)}, "other shapes"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    path = tmp_path / "model.safetensors"
    written(path, change)
    with pytest.raises(UserError, match=message) as error:
        load(path=str(path))
    assert str(path) in str(error.value)


@pytest.mark.fault(50)
@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"x" * 100])
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_broken_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        load(path=str(path), sha256=sha256(path))


def test_the_hub_gives_a_pinned_file_of_the_checkpoints_own_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid into the cache as huggingface_hub does, so the real client finds it offline."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--facebook--VGGT-1B/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    path = snapshot / "model.safetensors"
    written(path)
    hub = {"revision": COMMIT, "sha256": sha256(path)}
    assert load(hub="facebook/VGGT-1B", **hub)[1] == sha256(path)
    with pytest.raises(UserError, match=r"else/where isn't where VGGT-1B is published"):
        load(hub="else/where", **hub)
    with pytest.raises(UserError, match="HF_TOKEN"):
        load(hub="facebook/VGGT-1B", **hub | {"revision": "b" * 40})
    with pytest.raises(UserError, match=r"weights\.sha256 is 0000"):
        load(hub="facebook/VGGT-1B", **hub | {"sha256": "0" * 64})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "exactly one of path, hub and random_init; this has none"),
        ({"path": "x", "random_init": 1}, "this has path and random_init"),
        ({"hub": "a/b", "sha256": "0" * 64}, "40 hexadecimal"),
        ({"hub": "a/b", "sha256": "0" * 64, "revision": "main"}, "40 hexadecimal"),
        ({"hub": "a/b", "revision": COMMIT}, "hub needs the file's `sha256`"),
        ({"path": "x", "sha256": "abc"}, "64 hexadecimal"),
    ],
)
def test_weights_that_are_not_pinned_are_refused(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(WeightsConfig, weights, source="test")


@pytest.mark.parametrize("config", [MetricConfig, VggtConfig, VggtOmegaConfig])
def test_tiny_networks_are_random(config: Any) -> None:
    with pytest.raises(UserError, match="no trained weights"):
        validate(config, {"weights": {"path": "x"}, "size": "tiny"}, source="test")


def test_sides_that_can_not_be_pooled_are_refused() -> None:
    with pytest.raises(UserError, match="longer_side"):
        validate(
            DepthAnything3Config, {"weights": {"random_init": 0}, "longer_side": 500}, source="test"
        )


def test_every_checkpoint_of_the_configs_has_a_licence() -> None:
    for config in (VggtConfig, VggtOmegaConfig, DepthAnything3Config, MetricConfig):
        for checkpoint in config.model_fields["checkpoint"].annotation.__args__:
            card = card_of("x", checkpoint, "d", random=False)
            assert card.license == TEACHER_WEIGHTS[checkpoint].license
    with pytest.raises(UserError, match="licence registry"):
        card_of("x", "VGGT-9B", "d", random=False)


def test_the_strictest_licence_of_a_pair_holds() -> None:
    free = card_of("vggt", "VGGT-1B-Commercial", "d1", random=False)
    bound = card_of("vggt", "VGGT-1B", "d2", random=False)
    metric = card_of("metric", "DA3METRIC-LARGE", "d3", random=False)
    assert (free.commercial_use, bound.commercial_use, metric.commercial_use) == (True, False, True)
    assert compose(free, metric).commercial_use and not compose(bound, metric).commercial_use
    pair = compose(bound, metric)
    assert pair.license == "CC-BY-NC-4.0 AND Apache-2.0"
    assert pair.weights_digest == "d2+d3" and pair.parts == (bound, metric)
    assert type(pair).model_validate(pair.model_dump(mode="json")) == pair
    assert compose(free) is free


def test_no_profile_takes_a_model_that_learned_from_random_weights() -> None:
    card = card_of("metric", "DA3METRIC-LARGE", "random-init-0", random=True)
    assert not card.commercial_use and "random" in card.license


def test_the_examples_of_the_manual_are_valid() -> None:
    text = (REPOSITORY / "docs/teachers.md").read_text()
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    assert len(examples) == 3
    for example in examples:
        validate(ExtractTargetsConfig, example["extract_targets"], source="docs/teachers.md")


def test_the_chosen_teacher_needs_its_section() -> None:
    with pytest.raises(UserError, match="teacher: vggt needs `vggt: "):
        validate(ExtractTargetsConfig, {"teacher": "vggt"}, source="test")
