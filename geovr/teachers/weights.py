"""Weights of teachers: fetched at a pinned revision, their digest checked before anything is read.

Missing and unexpected tensors are errors: half a teacher would teach noise without a sign of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geovr.errors import UserError
from geovr.storage import sha256_file
from geovr.teachers.config import WeightsConfig
from geovr.teachers.licenses import TEACHER_WEIGHTS


@dataclass(frozen=True)
class LazyNetwork:
    """A network whose weights are known, but not read yet."""

    digest: str
    """Of the weights."""
    load: Callable[[], Any]
    """Makes the network with its weights, frozen, on the CPU.

    Raises UserError when the file can't be had, isn't the one that was named, or doesn't fit.
    """


def lazy_network(
    build: Callable[[], nn.Module],
    checkpoint: str,
    config: WeightsConfig,
    *,
    prefix: str = "",
    unused: tuple[str, ...] = (),
) -> LazyNetwork:
    """A network to be; its file isn't even fetched before it is loaded when its digest is given.

    Args:
        build: makes the network.
        checkpoint: name of the weights in the licence registry.
        config: where they are.
        prefix: what every name in the file begins with and the network's don't.
        unused: prefixes, after `prefix`, of parts that the file has and the network does without.

    Raises:
        UserError: when the file is needed for its digest and can't be had.
    """
    if config.random_init is not None:
        seed = config.random_init
        return LazyNetwork(f"random-init-{seed}", lambda: _random(build, seed))
    digest = config.sha256 or _checked_file(checkpoint, config)[1]

    def load() -> Any:
        path, found = _checked_file(checkpoint, config)
        if found != digest:
            raise UserError(f"{path}: was changed since its digest was taken; run the stage again")
        wanted = {}
        for name, tensor in _read(path).items():
            short = name.removeprefix(prefix) if name.startswith(prefix) else name
            if not short.startswith(unused):
                wanted[short] = tensor
        network = build()
        _fill(network, wanted, path)
        return network.eval().requires_grad_(False)

    return LazyNetwork(digest, load)


def _random(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    return network.eval().requires_grad_(False)


def _checked_file(checkpoint: str, config: WeightsConfig) -> tuple[Path, str]:
    """The weights file and its sha256, which is the wanted one if one is wanted."""
    path = _file_of(checkpoint, config)
    safe = path.suffix == ".safetensors"
    if not safe and config.sha256 is None:
        raise UserError(
            f"{path}: weights that aren't safetensors are read only when their digest is known;"
            " give weights.sha256"
        )
    digest = sha256_file(path)
    if config.sha256 not in (None, digest):
        raise UserError(
            f"{path}: its sha256 is {digest}, but weights.sha256 is {config.sha256}; the file is"
            " another one, or damaged: fetch it again or correct the config"
        )
    return path, digest


def _file_of(checkpoint: str, config: WeightsConfig) -> Path:
    if config.hub is not None:
        return _fetched(checkpoint, config)
    path = Path(config.path or "")
    if path.is_dir():
        path = path / config.file
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; correct weights.path or weights.file")
    return path


def _fetched(checkpoint: str, config: WeightsConfig) -> Path:
    """The file from the hub, or from its cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    source = TEACHER_WEIGHTS[checkpoint].source
    if config.hub != source:
        # otherwise the licence that is recorded would be another checkpoint's
        raise UserError(
            f"weights.hub: {config.hub} isn't where {checkpoint} is published, which is {source};"
            " change the checkpoint, or download the file and give its path"
        )
    try:
        return Path(hf_hub_download(source, config.file, revision=config.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{source}@{config.revision}: can't get {config.file} ({type(error).__name__}); gated"
            " weights need an accepted licence and a token in HF_TOKEN, an offline machine needs"
            " them in its cache (HF_HUB_OFFLINE is honoured) or weights.path"
        ) from None


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name; a pickle only of tensors, and only once its digest has matched."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: not a weights file: {error}") from None
    if not isinstance(loaded, dict) or not all(torch.is_tensor(v) for v in loaded.values()):
        raise UserError(f"{path}: holds something else than tensors by name, so isn't this teacher")
    return loaded


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        fault = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise UserError(f"{path}: tensors of other shapes than the network's: {error}") from None
    for what, names in (("lacks", fault.missing_keys), ("has unknown", fault.unexpected_keys)):
        if names:
            shown = ", ".join(sorted(names)[:5])
            raise UserError(
                f"{path}: {what} {len(names)} tensors, such as {shown}; it belongs to another"
                " checkpoint than the config names, or to another version of the teacher's package"
            )
