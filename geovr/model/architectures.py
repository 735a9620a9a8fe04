"""The published Qwen3-VL sizes as configs, for building them without weights.

Figures are those of the models' own config files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from geovr.errors import UserError

_VISION = {
    "depth": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096,
    "deepstack_visual_indexes": [5, 11, 17],
}  # fmt: skip
_SIZES: dict[str, dict[str, Any]] = {
    "2B": {
        "text": {
            "hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16,
            "intermediate_size": 6144,
        },
        "vision": _VISION,
        "tied": True,
    },
    "4B": {
        "text": {
            "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
            "intermediate_size": 9728,
        },
        "vision": _VISION,
        "tied": True,
    },
    "8B": {
        "text": {
            "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
            "intermediate_size": 12288,
        },
        "vision": {
            "depth": 27, "hidden_size": 1152, "num_heads": 16, "intermediate_size": 4304,
            "deepstack_visual_indexes": [8, 16, 24],
        },
        "tied": False,
    },
}  # fmt: skip


def published_config(size: str) -> Any:
    """The config of Qwen3-VL in a published size: 2B, 4B or 8B."""
    from transformers import Qwen3VLConfig

    shape = _SIZES[size]
    text = {
        "vocab_size": 151_936,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262_144,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_interleaved": True,
            "mrope_section": [24, 20, 20],
        },
        "tie_word_embeddings": shape["tied"],
        **shape["text"],
    }
    vision = {
        "patch_size": 16,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "num_position_embeddings": 2304,
        "out_hidden_size": shape["text"]["hidden_size"],
        **shape["vision"],
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=shape["tied"])


def config_of(base_model: str) -> Any:
    """The config of a model directory, or of the published size that its name tells.

    Raises:
        UserError: when there is no such directory and the name tells no size.
    """
    from transformers import AutoConfig

    if (Path(base_model) / "config.json").is_file():
        config = AutoConfig.from_pretrained(base_model, local_files_only=True)
        if config.model_type != "qwen3_vl":
            raise UserError(f"{base_model}: a {config.model_type} model; GeoVR trains Qwen3-VL")
        return config
    named = re.search(r"Qwen3-VL-(2B|4B|8B)\b", base_model)
    if named is None:
        raise UserError(
            f"train.base_model: {base_model}: no such directory, and its name tells no size; name"
            " it like Qwen3-VL-2B-Instruct, or give a directory with a config.json"
        )
    return published_config(named[1])


def empty_model(config: Any) -> Any:
    """The architecture without values, prepared for our batches."""
    from transformers import Qwen3VLForConditionalGeneration

    from geovr.model.forward import prepare_backbone

    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration._from_config(config)
    return prepare_backbone(model)
