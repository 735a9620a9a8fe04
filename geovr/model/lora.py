"""Low-rank adapters in the language model, by peft, and their merging at export."""

from __future__ import annotations

from typing import Any

from torch import nn

from geovr.errors import UserError
from geovr.model.config import LoraConfig


def add_adapters(backbone: Any, config: LoraConfig) -> None:
    """Put adapters into the language model, in place; all its own weights are frozen.

    Raises:
        UserError: when no layer has a name among the targets.
    """
    import peft

    language_model = backbone.model.language_model
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
        bias="none",
    )
    try:
        peft.inject_adapter_in_model(settings, language_model)
    except ValueError as error:
        names = sorted({n.split(".")[-1] for n, m in backbone.named_modules() if is_linear(m)})
        raise UserError(
            f"train.lora.targets: {', '.join(config.targets)}: {str(error).splitlines()[0]}; the"
            f" model's linear layers are {', '.join(names)}"
        ) from None
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_("lora_" in name)


def is_linear(module: nn.Module) -> bool:
    """Whether an adapter can be put on it."""
    return isinstance(module, nn.Linear)


def merge_adapters(backbone: Any) -> int:
    """Add every adapter's product to its layer, and put the plain layer back; how many."""
    from peft.tuners.lora import LoraLayer

    adapted = [(n, m) for n, m in backbone.named_modules() if isinstance(m, LoraLayer)]
    for name, module in adapted:
        module.merge(safe_merge=True)  # type: ignore[operator]
        parent, _, own = name.rpartition(".")
        setattr(backbone.get_submodule(parent), own, module.get_base_layer())
    language_model = backbone.model.language_model
    if adapted and hasattr(language_model, "peft_config"):
        del language_model.peft_config
    return len(adapted)
