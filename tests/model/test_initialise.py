"""The tiny model is a Qwen3-VL like any other."""

from __future__ import annotations

import unicodedata
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


def test_a_killed_run_is_finished_by_the_next(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == "tokenizer.json":
            # what SIGKILL leaves: the temporary file, and no tidying up
            self.with_name(f"{self.name[:-4]}.left.tmp").write_bytes(self.read_bytes()[:99])
            raise KeyboardInterrupt
        return original(self, target)

    output = tmp_path / "tiny"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", replace)
        init_model("tiny", output, seed=0)
    assert list(output.glob(".*.tmp")) and not (output / "config.json").exists()
    init_model("tiny", output, seed=0)
    assert directory_digest(output) == directory_digest(directory)


def test_what_is_the_users_own_stays(tmp_path: Path) -> None:
    notes = tmp_path / "model" / ".notes.tmp"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(UserError, match=r"holds other files already \(e.g. .notes.tmp\)"):
        init_model("tiny", notes.parent)
    assert notes.read_text() == "mine" and list(notes.parent.iterdir()) == [notes]
    with pytest.raises(UserError, match="is a file"):
        init_model("tiny", notes)
    with pytest.raises(UserError, match="no preset 'huge'"):
        init_model("huge", tmp_path / "huge")  # type: ignore[arg-type]


def test_every_number_bin_is_one_token(processor) -> None:  # type: ignore[no-untyped-def]
    tokens = [processor.tokenizer.encode(text) for text in BIN_TEXTS]
    assert all(len(one) == 1 for one in tokens)
    assert len({one[0] for one in tokens}) == len(BIN_TEXTS)
    assert len(processor.tokenizer.encode("13.025")) > 1
    assert all(len(processor.tokenizer.encode(letter)) == 1 for letter in "ABCD")


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_makes_the_round_trip(processor, text: str) -> None:  # type: ignore[no-untyped-def]
    """In Unicode's composed form: like Qwen's own, the tokenizer's normaliser is NFC."""
    ids = processor.tokenizer.encode(text, add_special_tokens=False)
    assert processor.tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "text",
    ["<|im_start|>user\n3.02 m<|im_end|>", "a  b\t\n\n c ", "𝔘𝔫 e\u0301 \u200d 🏠", "13.025"],
)
def test_awkward_texts_make_the_round_trip(processor, text: str) -> None:  # type: ignore[no-untyped-def]
    ids = processor.tokenizer.encode(text, add_special_tokens=False)
    assert processor.tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("value", [0.0, 0.01, 5000.0])
def test_numbers_off_the_grid_go_to_its_ends(value: float) -> None:
    assert nearest_bin(value) == (0 if value < 1 else len(BINS) - 1)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_quantity_has_no_bin(value: float) -> None:
    with pytest.raises(ValueError, match="have a bin"):
        nearest_bin(value)


@given(st.floats(0.1, 1000))
def test_the_nearest_bin_is_within_four_percent(value: float) -> None:
    chosen = BINS[nearest_bin(value)]
    assert max(chosen / value, value / chosen) < 1.08**0.5 * 1.01
    assert abs(np.log(chosen / value)) <= min(abs(np.log(b / value)) for b in BINS) + 1e-9
