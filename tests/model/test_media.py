"""Samples of any media, one by one against the stock processor, positions and logits, and mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geovr.data.frames import FrameGeometry, resize_frames
from geovr.data.input import InputConfig
from geovr.data.prefix import MediumKind, PromptTokens
from geovr.data.rows import Layout
from geovr.data.samples import ClipInput, Sample, make_batch
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone, text_states, visual_features
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from geovr.model.patches import SlotPatchEmbed
from tests.model.test_packing import SMALL_HEADS, random_targets

RANDOM = np.random.default_rng(8)
FPS = 2.0
QUESTION, ANSWER = "What is the size of this room?", "23.5"
# kind, frames, height, width
Shape = tuple[MediumKind, int, int, int]
SAMPLES: dict[str, tuple[Shape, ...]] = {
    "text": (),
    "image": (("images", 1, 64, 96),),
    "images": (("images", 3, 48, 64),),
    "video": (("video", 4, 64, 64),),
    "videos": (("video", 2, 64, 64), ("video", 5, 40, 96)),
    "mixed": (("images", 1, 96, 64), ("video", 3, 64, 64), ("images", 2, 64, 32)),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return load_backbone(path)


def draw(shapes: tuple[Shape, ...]) -> list[tuple[MediumKind, np.ndarray]]:
    return [
        (kind, RANDOM.integers(0, 256, (frames, height, width, 3), dtype=np.uint8))
        for kind, frames, height, width in shapes
    ]


def our_sample(
    processor: Any, media: list[tuple[MediumKind, np.ndarray]], geometry: FrameGeometry
) -> Sample:
    branch = PromptTokens(processor).branch(QUESTION, ANSWER, media=bool(media))
    clips = [
        ClipInput(kind, resize_frames(pixels, geometry, kind), np.arange(len(pixels)) / FPS)
        for kind, pixels in media
    ]
    return Sample(tuple(clips), (branch,))


def stock_inputs(
    processor: Any, media: list[tuple[MediumKind, np.ndarray]], times: int
) -> dict[str, Any]:
    """What plain transformers makes of the same media, each video frame given `times` times."""
    content, images, videos, metadata = [], [], [], []
    for kind, pixels in media:
        if kind == "images":
            content += [{"type": "image"}] * len(pixels)
            images += [torch.from_numpy(frame).permute(2, 0, 1) for frame in pixels]
            continue
        content.append({"type": "video"})
        videos.append(np.repeat(pixels, times, axis=0))
        places = [k * times for k in range(len(pixels)) for _ in range(times)]
        metadata.append(
            {"fps": FPS * times, "total_num_frames": len(places), "frames_indices": places}
        )
    content.append({"type": "text", "text": QUESTION})
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]},
    ]
    text = processor.apply_chat_template(messages, tokenize=False)
    size = processor.video_processor.size
    inputs: dict[str, Any] = processor(
        text=[text],
        images=images or None,
        videos=videos or None,
        video_metadata=metadata or None,
        videos_kwargs={
            "do_sample_frames": False,
            "size": {name: int(size[name]) * times for name in ("shortest_edge", "longest_edge")},
        },
        return_tensors="pt",
    )
    return inputs


def hidden(model: GeoVR, batch: Any, tokens: bool) -> torch.Tensor:
    visual, deepstack = visual_features(model.backbone, batch)
    place = (lambda flat: model._place_tokens(flat, batch)) if tokens else None
    with torch.no_grad():
        return text_states(model.backbone, batch, visual, deepstack, place)


@pytest.mark.parametrize("paired", ["doubled", "pairs"])
@pytest.mark.parametrize("name", SAMPLES)
def test_tokens_positions_and_logits_are_stock(
    loaded: tuple[Any, Any], name: str, paired: str
) -> None:
    backbone, processor = loaded
    media = draw(SAMPLES[name])
    geometry = FrameGeometry.of(processor, InputConfig(frame_pairing=paired))  # type: ignore[arg-type]
    prompt = PromptTokens(processor)
    batch = make_batch([our_sample(processor, media, geometry)], prompt, geometry)
    stock = stock_inputs(processor, media, 1 if paired == "pairs" else geometry.temporal)
    assert batch.input_ids_BL.tolist() == stock["input_ids"].tolist()
    positions, _ = backbone.model.get_rope_index(
        stock["input_ids"],
        stock["mm_token_type_ids"],
        image_grid_thw=stock.get("image_grid_thw"),
        video_grid_thw=stock.get("video_grid_thw"),
    )
    assert batch.position_ids_3BL.tolist() == positions.tolist()
    with torch.no_grad():
        wanted = backbone(**stock).logits
        visual, deepstack = visual_features(backbone, batch)
        ours = backbone.lm_head(text_states(backbone, batch, visual, deepstack))
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("layout", ["readout", "visible"])
@pytest.mark.parametrize("name", SAMPLES)
def test_positions_stay_and_readout_changes_no_logit(
    loaded: tuple[Any, Any], name: str, layout: Layout
) -> None:
    backbone, processor = loaded
    backbone = backbone.double()
    geometry = FrameGeometry.of(processor)
    prompt = PromptTokens(processor)
    samples = [our_sample(processor, draw(SAMPLES[name]), geometry)]
    model = GeoVR(backbone, HeadsConfig(token_std=1.0), Objectives(), 16)
    bare = make_batch(samples, prompt, geometry)
    full = make_batch(samples, prompt, geometry, layout=layout, camera=True, scale=True)
    L = bare.input_ids_BL.shape[1]
    videos = [shape for shape in SAMPLES[name] if shape[0] == "video"]
    assert len(full.camera_N) == sum(frames for _, frames, _, _ in videos)
    assert len(full.scale_S) == len(videos)
    assert full.input_ids_BL.shape[1] == L + len(full.camera_N) + len(full.scale_S)
    others = torch.ones(full.input_ids_BL.shape[1], dtype=torch.bool)
    others[torch.cat([full.camera_N, full.scale_S])] = False
    assert torch.equal(full.input_ids_BL[:, others], bare.input_ids_BL)
    assert torch.equal(full.position_ids_3BL[:, :, others], bare.position_ids_3BL)
    assert torch.equal(full.label_M, bare.label_M)
    difference = hidden(model, full, True)[:, others] - hidden(model, bare, False)
    logits = backbone.lm_head(difference).detach().abs().max()
    if layout == "readout" or not videos:
        assert float(logits) < 1e-6
    else:
        assert float(logits) > 1e-3
    # each token stands where the last patch of its slot does
    owner = {tuple(p) for p in full.position_ids_3BL[:, 0, full.visual_V].T.tolist()}
    own = full.position_ids_3BL[:, 0, torch.cat([full.camera_N, full.scale_S])].T.tolist()
    assert {tuple(position) for position in own} <= owner
    backbone.float()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", ["readout", "visible"])
def test_a_mixed_batch_is_its_samples_one_by_one(
    loaded: tuple[Any, Any], layout: Layout, packed: bool
) -> None:
    """All kinds of samples in one batch; losses, counts and gradients add up."""
    backbone, processor = loaded
    backbone = backbone.double()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        geometry = FrameGeometry.of(processor)
        prompt = PromptTokens(processor)
        torch.manual_seed(0)
        objectives = Objectives()
        model = GeoVR(backbone, SMALL_HEADS, objectives, 16).double()
        samples = []
        for shapes in SAMPLES.values():
            sample = our_sample(processor, draw(shapes), geometry)
            clips = tuple(
                ClipInput(c.kind, c.frames_TCHW, c.timestamps_T, random_targets(len(c.frames_TCHW)))
                for c in sample.clips
            )
            samples.append(Sample(clips, sample.branches))

        def batch(chosen: list[Sample], packed: bool = False) -> Any:
            return make_batch(
                chosen, prompt, geometry, layout=layout, camera=True, scale=True, packed=packed
            )

        together = batch(samples, packed)
        apart = [batch([sample]) for sample in samples]
        counts = together.counts()
        assert counts == {t: sum(b.counts()[t] for b in apart) for t in counts}
        media = [shape for shapes in SAMPLES.values() for shape in shapes]
        assert counts["camera"] == counts["scale"] == sum(kind == "video" for kind, *_ in media)
        assert counts["depth"] == counts["features"] == len(media)

        def run(batches: list[Any]) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
            model.zero_grad()
            terms: dict[str, float] = {}
            for one in batches:
                sums = model(one)
                sums.total(objectives, counts).backward()
                for term, value in sums.items():
                    terms[term] = terms.get(term, 0.0) + float(value)
            grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
            return terms, grads

        terms, grads = run([together])
        wanted_terms, wanted_grads = run(apart)
        assert terms == pytest.approx(wanted_terms, rel=1e-6)
        assert set(grads) == set(wanted_grads)
        for name, wanted in wanted_grads.items():
            difference = (grads[name] - wanted).abs().max()
            assert difference <= 1e-6 * max(float(wanted.abs().max()), 1e-3), name
    finally:
        torch.set_default_dtype(before)
        backbone.float()


def test_a_repeated_frame_meets_the_kernel_summed_over_time(loaded: tuple[Any, Any]) -> None:
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionPatchEmbed

    backbone, _ = loaded
    embed = backbone.model.visual.patch_embed
    assert isinstance(embed, SlotPatchEmbed)
    values = embed.proj.weight[0].numel()
    single = torch.randn(7, values // embed.temporal_patch_size)
    per_channel = single.view(7, embed.in_channels, 1, -1)
    doubled = per_channel.expand(-1, -1, embed.temporal_patch_size, -1).reshape(7, values)
    torch.testing.assert_close(embed(single), embed(doubled), rtol=1e-5, atol=1e-5)
    stock = Qwen3VLVisionPatchEmbed(backbone.config.vision_config)
    stock.load_state_dict(embed.state_dict())
    assert torch.equal(embed(doubled), stock(doubled))


def test_a_slot_of_two_frames_has_the_targets_of_its_first(loaded: tuple[Any, Any]) -> None:
    _, processor = loaded
    geometry = FrameGeometry.of(processor, InputConfig(frame_pairing="pairs"))
    targets = random_targets(5)
    frames = resize_frames(draw((("video", 5, 64, 64),))[0][1], geometry)
    clip = ClipInput("video", frames, np.arange(5) / FPS, targets)
    prompt = PromptTokens(processor)
    sample = Sample((clip,), (prompt.branch(QUESTION, ANSWER),))
    batch = make_batch([sample], prompt, geometry, camera=True, scale=True)
    assert batch.grid_I3[0, 0] == 3 == len(batch.camera_N)
    found = batch.targets[0]
    assert found is not None
    assert torch.equal(found.pose_encoding_TK, targets.pose_encoding_TK[[0, 2, 4]])
    assert torch.equal(found.depth_THW, targets.depth_THW[[0, 2, 4]])
    assert torch.equal(found.features_NTHWC, targets.features_NTHWC[:, [0, 2, 4]])


def test_tokens_start_like_the_text_embeddings(loaded: tuple[Any, Any]) -> None:
    backbone, _ = loaded
    torch.manual_seed(1)
    width = backbone.config.text_config.hidden_size
    wanted = float(np.std(backbone.get_input_embeddings().weight.detach().numpy()))
    drawn = GeoVR(backbone, SMALL_HEADS, Objectives(), 16).camera_tokens
    assert drawn.shape == (2, width)
    assert float(drawn.detach().std()) == pytest.approx(wanted, rel=0.2)
    chosen = GeoVR(backbone, HeadsConfig(token_std=3.0), Objectives(), 16).camera_tokens
    assert float(chosen.detach().std()) == pytest.approx(3.0, rel=0.2)
