"""heads.safetensors: tokens and heads of a trained model, with all that is needed to use them."""

from __future__ import annotations

import json
from typing import Any

import torch
from pydantic import ValidationError

from geovr.config import Config, canonical_json
from geovr.errors import UserError
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.geovr import GeoVR

_SCHEMA = "geovr.heads/1"


class HeadsRecord(Config):
    """What the tensors belong to."""

    heads: HeadsConfig
    objectives: Objectives
    feature_dim: int
    hidden_size: int
    num_layers: int
    base_model_digest: str


def encode_heads(model: GeoVR, base_model_digest: str) -> bytes:
    """The file's bytes."""
    from safetensors.torch import save

    text = model.backbone.config.text_config
    record = HeadsRecord(
        heads=model.heads_config,
        objectives=model.objectives,
        feature_dim=model.feature_dim,
        hidden_size=text.hidden_size,
        num_layers=text.num_hidden_layers,
        base_model_digest=base_model_digest,
    )
    tensors = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.head_parameters().items()
    }
    # the order of metadata is the hash map's own, so there is one entry only
    told = canonical_json({"schema": _SCHEMA, **record.model_dump(mode="json")})
    data: bytes = save(tensors, metadata={"geovr": told})
    return data


def attach_heads(backbone: Any, data: bytes, name: str) -> GeoVR:
    """A model with the file's tokens and heads around a backbone.

    Args:
        backbone: prepared, of the size that the file was made with.
        data: the file.
        name: of the file, for messages.

    Raises:
        UserError: when it is no such file, or belongs to another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        told = json.loads(data[8 : 8 + length])["__metadata__"]["geovr"]
        values = json.loads(told)
        schema = values.pop("schema")
        record = HeadsRecord.model_validate(values)
    except (SafetensorError, KeyError, ValueError, TypeError, ValidationError) as error:
        raise UserError(
            f"{name}: not a heads.safetensors of GeoVR ({error}); take the one that training left"
        ) from None
    if schema != _SCHEMA:
        raise UserError(f"{name}: its schema is {schema}, this version reads {_SCHEMA}")
    text = backbone.config.text_config
    size = (text.hidden_size, text.num_hidden_layers)
    if size != (record.hidden_size, record.num_layers):
        raise UserError(
            f"{name}: made for a model of width {record.hidden_size} and {record.num_layers}"
            f" layers, not of {size[0]} and {size[1]}; take the export beside it"
        )
    if not record.objectives.any:
        raise UserError(
            f"{name}: the model was trained without geometric objectives, so it has no heads;"
            " train with at least one of train.objectives"
        )
    model = GeoVR(backbone, record.heads, record.objectives, record.feature_dim)
    wanted = model.head_parameters()
    if set(wanted) != set(tensors):
        missing = sorted(set(wanted) - set(tensors))
        unexpected = sorted(set(tensors) - set(wanted))
        raise UserError(f"{name}: tensors are missing {missing[:5]} or unexpected {unexpected[:5]}")
    with torch.no_grad():
        for key, parameter in wanted.items():
            if parameter.shape != tensors[key].shape:
                raise UserError(
                    f"{name}: {key} is {tuple(tensors[key].shape)}, the model's is"
                    f" {tuple(parameter.shape)}"
                )
            parameter.copy_(tensors[key])
    return model
