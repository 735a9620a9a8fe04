"""Rows of several questions, and read-out tokens, against stock classes and separate samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geovr.data.batch import Batch, Targets
from geovr.data.frames import FrameGeometry, patchify, resize_frames
from geovr.data.prefix import Medium, PromptTokens
from geovr.data.rows import Layout
from geovr.data.samples import ClipInput, Sample
from geovr.data.samples import make_batch as batch_of_samples
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone, text_states, visual_features
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model

RANDOM = np.random.default_rng(3)
QUESTIONS = [
    ("What is the size of this room?", "23.5"),
    ("How long is the path?", "7.91"),
    ("Which way does the camera turn?\nA. left\nB. right", "B"),
    ("How many chairs are there?", "3.02"),
    ("How far?", "1.25"),
]
SMALL_HEADS = HeadsConfig(
    camera_hidden=32, scale_hidden=16, depth_channels=(8, 8, 8, 8), depth_features=8, depth_patch=4
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return path


@pytest.fixture()
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def clip(frames: int, height: int = 64, width: int = 64) -> tuple[np.ndarray, list[float]]:
    pixels = RANDOM.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return pixels, [0.5 * k for k in range(frames)]


def random_targets(frames: int) -> Targets:
    pose = torch.from_numpy(RANDOM.normal(size=(frames, 9)))
    return Targets(
        pose_encoding_TK=pose,
        depth_THW=torch.from_numpy(RANDOM.uniform(0.5, 3, (frames, 24, 32))),
        metric_scale=torch.tensor(2.5, dtype=torch.float64),
        metric_scale_valid=True,
        features_NTHWC=torch.from_numpy(RANDOM.normal(size=(4, frames, 3, 4, 16))),
        moving=True,
    )


def make_batch(
    processor: Any,
    rows: list[tuple[tuple[np.ndarray, list[float]], list[int], Targets | None]],
    *,
    layout: Layout = "readout",
    tokens: bool = True,
    packed: bool = False,
) -> Batch:
    prompt = PromptTokens(processor)
    geometry = FrameGeometry.of(processor)
    samples = [
        Sample(
            (ClipInput("video", resize_frames(pixels, geometry), np.asarray(times), target),),
            tuple(prompt.branch(*QUESTIONS[q]) for q in questions),
        )
        for (pixels, times), questions, target in rows
    ]
    return batch_of_samples(
        samples, prompt, geometry, layout=layout, camera=tokens, scale=tokens, packed=packed
    )


def states(backbone: Any, batch: Batch) -> torch.Tensor:
    visual, deepstack = visual_features(backbone, batch)
    return text_states(backbone, batch, visual, deepstack)


def test_prefix_and_positions_are_those_of_the_stock_processor_and_model(directory: Path) -> None:
    backbone, processor = load_backbone(directory)
    for frames, height, width in [(2, 64, 64), (5, 48, 96), (3, 96, 64)]:
        (pixels, times), geometry = (
            clip(frames, height, width),
            FrameGeometry.of(processor),
        )
        resized = resize_frames(pixels, geometry)
        grid = geometry.token_grid(*resized.shape[-2:])
        prefix = PromptTokens(processor).prefix([Medium("video", grid, tuple(times))])
        doubled = np.repeat(pixels, geometry.temporal, axis=0)
        content = [{"type": "video"}, {"type": "text", "text": "Q"}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        stock = processor(
            text=[text],
            videos=[doubled],
            video_metadata=[
                {
                    "fps": 2.0 * geometry.temporal,
                    "total_num_frames": len(doubled),
                    "frames_indices": [geometry.temporal * k for k in range(frames) for _ in "ab"],
                }
            ],
            do_sample_frames=False,
            return_tensors="pt",
        )
        P = len(prefix.ids_P)
        assert stock["input_ids"][0, :P].tolist() == prefix.ids_P.tolist()
        types = (stock["input_ids"] == PromptTokens(processor).video_pad).int() * 2
        positions, _ = backbone.model.get_rope_index(
            stock["input_ids"], types, video_grid_thw=stock["video_grid_thw"]
        )
        assert positions[:, 0, :P].tolist() == prefix.positions_3P.tolist()
        assert int(positions[:, 0, P].unique()) == prefix.next_position


def test_patches_are_those_of_the_stock_processor_on_doubled_frames(directory: Path) -> None:
    _, processor = load_backbone(directory)
    geometry = FrameGeometry.of(processor)
    pixels, _ = clip(3, 50, 90)
    ours = patchify(resize_frames(pixels, geometry), geometry)
    wide = ours.view(len(ours), 3, 1, -1).expand(-1, -1, geometry.temporal, -1).flatten(1)
    budget = {
        "shortest_edge": geometry.min_pixels * geometry.temporal,
        "longest_edge": geometry.max_pixels * geometry.temporal,
    }
    stock = processor.video_processor(
        videos=[np.repeat(pixels, geometry.temporal, axis=0)],
        do_sample_frames=False,
        size=budget,
        return_tensors="pt",
    )
    torch.testing.assert_close(wide, stock["pixel_values_videos"], rtol=0, atol=1e-6)


def test_logits_equal_the_stock_forward_pass(directory: Path) -> None:
    backbone, processor = load_backbone(directory)
    video = clip(4)
    batch = make_batch(processor, [(video, [0], None)], tokens=False)
    ours = backbone.lm_head(states(backbone, batch))
    temporal = backbone.config.vision_config.temporal_patch_size
    patches = batch.patches_PE.view(len(batch.patches_PE), 3, 1, -1)
    types = (batch.input_ids_BL == PromptTokens(processor).video_pad).int() * 2
    stock = backbone(
        input_ids=batch.input_ids_BL,
        mm_token_type_ids=types,
        pixel_values_videos=patches.expand(-1, -1, temporal, -1).flatten(1),
        video_grid_thw=batch.grid_I3,
    ).logits
    torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-5)


def test_readout_tokens_change_nothing_for_other_tokens(directory: Path) -> None:
    backbone, processor = load_backbone(directory)
    rows = [(clip(4), [0, 2], None), (clip(2, 64, 96), [1], None)]
    without = make_batch(processor, rows, tokens=False)
    model = GeoVR(backbone, HeadsConfig(token_std=1.0), Objectives(), 16)
    bare = states(backbone, without)
    moved = {}
    for layout in ("readout", "visible"):
        batch = make_batch(processor, rows, layout=layout)  # type: ignore[arg-type]
        visual, deepstack = visual_features(backbone, batch)
        full = text_states(
            backbone, batch, visual, deepstack, lambda flat, b=batch: model._place_tokens(flat, b)
        )
        others = batch.segment_BL >= 0
        others.view(-1)[torch.cat([batch.camera_N, batch.scale_S])] = False
        real = without.segment_BL >= 0
        moved[layout] = float((full[others] - bare[real]).detach().abs().max())
    assert moved["readout"] < 1e-5
    assert moved["visible"] > 1e-3


@pytest.mark.parametrize("layout", ["readout", "visible"])
def test_camera_tokens_see_only_their_past(directory: Path, layout: Layout) -> None:
    _, processor = load_backbone(directory)
    batch = make_batch(processor, [(clip(3), [0, 1], None)], layout=layout)
    mask = batch.attention_mask()[0, 0]
    per_slot = len(batch.visual_V) // 3
    seen_by = {place: set(torch.nonzero(row).flatten().tolist()) for place, row in enumerate(mask)}
    visual = batch.visual_V.tolist()
    tokens = {*batch.camera_N.tolist(), *batch.scale_S.tolist()}
    for slot, camera in enumerate(batch.camera_N.tolist()):
        past = visual[: (slot + 1) * per_slot]
        assert set(past) <= seen_by[camera]
        # nothing of what follows the slot's last patch: later frames, questions, other tokens
        text = seen_by[camera] - set(past) - tokens
        assert not text or max(text) < past[-1]
        assert not seen_by[camera] & set(visual[(slot + 1) * per_slot :])
    scale = seen_by[int(batch.scale_S[0])]
    assert set(visual) <= scale
    assert (int(batch.camera_N[-1]) in scale) == (layout == "visible")
    for place in set(seen_by) - tokens:
        assert layout == "visible" or not seen_by[place] & tokens
    if layout == "visible":  # in place: after the slot's last patch, before what follows it
        assert [c - 1 for c in batch.camera_N.tolist()] == visual[per_slot - 1 :: per_slot]
        assert int(batch.scale_S[0]) == int(batch.camera_N[-1]) + 1


@pytest.mark.parametrize("masked", ["dense", "shared_prefix", "checkpointed"])
@pytest.mark.parametrize("layout", ["readout", "visible"])
@pytest.mark.usefixtures("double")
def test_packed_questions_equal_separate_samples(
    directory: Path, layout: Layout, masked: str
) -> None:
    """Loss and every gradient, with all geometric losses, DeepStack and rows of unequal shape."""
    backbone, processor = load_backbone(directory, torch.float64)
    torch.manual_seed(0)
    objectives = Objectives()
    model = GeoVR(backbone, SMALL_HEADS, objectives, 16).double()
    videos = [clip(3), clip(5, 64, 96)]
    targets = [random_targets(3), random_targets(5)]
    packed = [(videos[0], [0, 1, 2], targets[0]), (videos[1], [3, 4], targets[1])]
    single = [(v, [q], t) for v, questions, t in packed for q in questions]

    def gradients(batches: list[Batch]) -> tuple[float, dict[str, torch.Tensor]]:
        counts: dict[str, float] = {}
        for batch in batches:
            for term, count in batch.counts().items():
                counts[term] = counts.get(term, 0) + count
        model.zero_grad()
        total = 0.0
        for batch in batches:
            loss = model(batch).total(objectives, counts)
            loss.backward()
            total += float(loss)
        grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        return total, grads

    loss_single, single_grads = gradients(
        [make_batch(processor, [row], layout=layout) for row in single]
    )
    if masked == "checkpointed":
        model.backbone.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    together = make_batch(processor, packed, layout=layout, packed=masked != "dense")
    loss_packed, packed_grads = gradients([together])
    assert loss_packed == pytest.approx(loss_single, rel=1e-6)
    assert set(packed_grads) == set(single_grads) == {n for n, _ in model.named_parameters()}
    for name, wanted in single_grads.items():
        difference = (packed_grads[name] - wanted).abs().max()
        assert difference <= 1e-6 * max(float(wanted.abs().max()), 1e-3), name
