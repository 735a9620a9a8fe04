"""The tiny model is a Qwen3-VL like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from geovr.data.numbers import BIN_TEXTS, BINS, nearest_bin
from geovr.errors import UserError
from geovr.model.initialise import init_model
from geovr.stages.train import directory_digest


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return init_model("tiny", tmp_path_factory.mktemp("model") / "tiny", seed=0)


@pytest.fixture(scope="module")
def processor(directory: Path) -> AutoProcessor:
    return AutoProcessor.from_pretrained(directory)


def test_plain_transformers_loads_it_and_it_answers(directory: Path, processor) -> None:  # type: ignore[no-untyped-def]
    model = Qwen3VLForConditionalGeneration.from_pretrained(directory)
    content = [{"type": "video"}, {"type": "text", "text": "How many chairs?"}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    video = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    inputs = processor(
        text=[text], videos=[video], do_sample_frames=False, return_tensors="pt",
        video_metadata=[{"fps": 2.0, "total_num_frames": 4, "frames_indices": [0, 1, 2, 3]}],
    )  # fmt: skip
    out = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert inputs["input_ids"].shape[1] < out.shape[1] <= inputs["input_ids"].shape[1] + 3


def test_one_seed_gives_one_model_and_another_gives_another(
    directory: Path, tmp_path: Path
) -> None:
    again = init_model("tiny", tmp_path / "again", seed=0)
    other = init_model("tiny", tmp_path / "other", seed=1)
    assert directory_digest(again) == directory_digest(directory) != directory_digest(other)
    assert init_model("tiny", again, seed=0) == again
    with pytest.raises(UserError, match="holds other files already"):
        init_model("tiny", other, seed=0)


def test_every_number_bin_is_one_token(processor) -> None:  # type: ignore[no-untyped-def]
    tokens = [processor.tokenizer.encode(text) for text in BIN_TEXTS]
    assert all(len(one) == 1 for one in tokens)
    assert len({one[0] for one in tokens}) == len(BIN_TEXTS)
    assert len(processor.tokenizer.encode("13.025")) > 1
    assert all(len(processor.tokenizer.encode(letter)) == 1 for letter in "ABCD")


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_makes_the_round_trip(processor, text: str) -> None:  # type: ignore[no-untyped-def]
    ids = processor.tokenizer.encode(text, add_special_tokens=False)
    assert processor.tokenizer.decode(ids) == text


@given(st.floats(0.1, 1000))
def test_the_nearest_bin_is_within_four_percent(value: float) -> None:
    chosen = BINS[nearest_bin(value)]
    assert max(chosen / value, value / chosen) < 1.08**0.5 * 1.01
    assert abs(np.log(chosen / value)) <= min(abs(np.log(b / value)) for b in BINS) + 1e-9
