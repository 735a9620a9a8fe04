"""`geovr init-model`: a Qwen3-VL of toy size that loads like a downloaded one, with no network.

Real architecture, real processor classes, own small tokenizer: byte-level BPE, so any text makes
the round trip (composed to NFC, as Qwen's own does), learnt from the wordings of spatial
questions, with Qwen's special tokens, and with every text of data/numbers.py as one token.
"""

from __future__ import annotations

import itertools
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from geovr.data.numbers import BIN_TEXTS
from geovr.errors import UserError
from geovr.model.phrases import PHRASES, WORDS
from geovr.storage import sha256_file, write_atomic

log = logging.getLogger("geovr")

Preset = Literal["tiny", "study"]
PRESETS: dict[str, Sequence[str]] = {"tiny": (), "study": PHRASES}
"""Phrases that are tokens of their own (see model/phrases.py)."""
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

CARD = """\
---
license: apache-2.0
library_name: transformers
---

# A Qwen3-VL of toy size with random weights, made by `geovr init-model`
"""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content -%}
{%- if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>
{%- elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'text' %}{{ part.text }}{% endif -%}
{%- endfor -%}
{%- endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

_WORDS = """
the a of in is are how many what which where from to between and or by this that room video
camera scene frame frames floor wall door window chair table sofa bed desk lamp shelf cabinet
stool plant size area square meters metres centimeters distance path length long far near
nearest farthest closest surface seen start end point turn turns left right back forward
straight around total degrees less more than colour color covers most largest smallest red green
blue yellow purple orange white black grey brown pink cyan answer with letter option options
single number using measuring closest object objects does walk walks travel travelled during
whole its first last over under against along view visible summed wardrobe fridge stool box
dresser sideboard bookcase armchair couch nightstand television refrigerator sink toilet stove
bathtub people person corner Options Answer What How Which If I am standing facing please
approximately direction appear order seconds user assistant system
""".split()  # noqa: SIM905 - a word list reads best as text


def _corpus() -> list[str]:
    """Texts in the manner of spatial questions, from which the merges are learnt."""
    starts = ["What is the", "How many", "How far is the", "Which", "Does the", "How long is the"]
    texts = [
        f"{start} {first} of the {second} in this room (in meters)?\nOptions:\nA. {first}\nB."
        f" {second}\nC. {third}\nD. none\nAnswer with the letter of the option."
        for start, (first, second, third) in itertools.product(
            starts, zip(_WORDS, _WORDS[7:] + _WORDS[:7], _WORDS[19:] + _WORDS[:19], strict=True)
        )
    ]
    texts += [
        "system\nuser\nassistant\n",
        "Answer with a single number.",
        "What is the size of this room (in square meters)?",
        "If multiple rooms are shown, estimate the size of the combined space.",
        "How long is the path of the camera, from the first frame to the last (in meters)?",
        "How far is the camera's last position from its first (in meters)?",
        "What is the distance to the nearest surface seen in the video (in meters)?",
        "What is the distance to the farthest surface seen in the video (in meters)?",
        "How many chairs are in this room? How many tables are in this room?",
        "Measuring from the closest point of each object, what is the distance between them?",
        "Which way does the camera turn in all, and by how many degrees?",
        "Which furniture colour covers most of the video?",
        "How does the camera turn in all, left against right?",
        "A. left, over 150 degrees\nB. left, under 150 degrees\nC. right, under 150 degrees",
        "How far along the view is the nearest visible surface (in meters)?",
        "How long is the camera's path, summed from frame to frame (in meters)?",
        "How many sofa(s) are in this room?",
    ] * 20
    return [*texts, *(f"<{n / 10:.1f} seconds>" for n in range(0, 320, 5))]


def _tokenizer(phrases: Sequence[str] = ()) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Qwen2TokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        min_frequency=4,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus(), trainer)
    model = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2TokenizerFast(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],
        unk_token=None,
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    # single_word keeps "3.02" inside "13.025" from becoming a token of its own
    tokenizer.add_tokens(
        [AddedToken(text, single_word=True, normalized=False) for text in BIN_TEXTS]
    )
    tokenizer.add_tokens(
        [AddedToken(text, single_word=text in WORDS, normalized=False) for text in phrases]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _processor(tokenizer: Any) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    shape = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    # a 64x48 frame becomes 64x64 pixels, four tokens; budgets are those of 32 small frames
    video = Qwen3VLVideoProcessor(
        size={"shortest_edge": 32 * 32, "longest_edge": 32 * 256 * 256},
        cap_pixels_per_frame=False,
        **shape,
    )
    half = [0.5, 0.5, 0.5]  # the released models' choice, unlike the class's default
    image = Qwen2VLImageProcessor(
        size={"shortest_edge": 32 * 32, "longest_edge": 512 * 512},
        image_mean=half,
        image_std=half,
        **shape,
    )
    return Qwen3VLProcessor(
        image_processor=image,
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: Any) -> Any:
    from transformers import Qwen3VLConfig

    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    return Qwen3VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 32768,
            "initializer_range": 0.04,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [8, 4, 4],
                "mrope_interleaved": True,
            },
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "patch_size": 16,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 128,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.04,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def init_model(preset: Preset, output: Path, seed: int = 0) -> Path:
    """Write a model directory that plain transformers loads.

    Args:
        preset: tiny, about 1 M parameters.
        output: the directory; a model that is there already and the same stays as it is.
        seed: of the weights.

    Raises:
        UserError: for another preset, or when other files are in the directory.
    """
    import torch
    from transformers import GenerationConfig, Qwen3VLForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if preset not in PRESETS:
        raise UserError(f"init-model: no preset {preset!r}; there are: {', '.join(PRESETS)}")
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng(devices=[]):
        directory = Path(scratch)
        torch.manual_seed(seed)
        tokenizer = _tokenizer(PRESETS[preset])
        config = _config(tokenizer)
        model = Qwen3VLForConditionalGeneration(config)
        model.generation_config = GenerationConfig(
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
        )
        model.save_pretrained(directory)
        _processor(tokenizer).save_pretrained(directory)
        write_atomic(directory / "README.md", CARD.encode())
        _publish(directory, output)
    parameters = sum(p.numel() for p in model.parameters())
    log.info("init-model: %s, %d parameters, %d tokens", output, parameters, len(tokenizer))
    return output


def _publish(made: Path, output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; give --output a directory")
    new = {path.name: path for path in made.iterdir()}
    old = {path.name: path for path in output.iterdir()} if output.is_dir() else {}
    for name in [name for name in old if name.startswith(".") and name.endswith(".tmp")]:
        # what a killed write_atomic left behind
        if any(name.startswith(f".{other}.") for other in new):
            old.pop(name).unlink()
    foreign = sorted(
        name for name in old if name not in new or sha256_file(old[name]) != sha256_file(new[name])
    )
    if foreign:
        raise UserError(
            f"{output}: holds other files already (e.g. {foreign[0]}); give another --output or"
            " remove them"
        )
    # config.json last: a directory with one is complete
    for name in sorted(new, key=lambda name: (name == "config.json", name)):
        if name not in old:
            write_atomic(output / name, new[name].read_bytes())
