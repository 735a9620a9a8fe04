"""Training checkpoints in the store: tensors as safetensors, the rest as JSON, a manifest last.

A step without a manifest, or whose files are not what the manifest says, does not exist: loading
falls back to the one before and says so. The last good one is removed only after newer ones stand.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import torch

from geovr.model.geovr import GeoVR
from geovr.storage import Store, StoreError

log = logging.getLogger("geovr")

_FILES = ("model.safetensors", "optimizer.safetensors", "rng.safetensors", "state.json")
_OPTIMIZER_KEYS = ("step", "exp_avg", "exp_avg_sq")


class Checkpoints:
    """The checkpoints of one training, below a prefix of the store.

    Args:
        store: where.
        prefix: of this training; it hashes all that decides its result.
        keep: how many complete ones stay.
    """

    def __init__(self, store: Store, prefix: str, keep: int) -> None:
        self.store, self.prefix, self.keep = store, prefix, keep

    def _step_prefix(self, step: int) -> str:
        return f"{self.prefix}/steps/{step:08d}"

    def complete_steps(self) -> list[int]:
        """Steps whose manifest stands, ascending."""
        manifests = [
            key for key in self.store.keys(f"{self.prefix}/steps") if key.endswith("/manifest.json")
        ]
        return sorted(int(key.split("/")[-2]) for key in manifests)

    def save(
        self, step: int, model: GeoVR, optimizer: torch.optim.Optimizer, state: dict[str, Any]
    ) -> None:
        """Write the state after `step` steps, then drop the oldest beyond `keep`."""
        from safetensors.torch import save

        prefix = self._step_prefix(step)
        parameters = trainable(model)
        names = {id(parameter): name for name, parameter in parameters.items()}
        moments = {
            f"{names[id(parameter)]}|{key}": values[key].contiguous()
            for parameter, values in optimizer.state.items()
            for key in _OPTIMIZER_KEYS
        }
        tensors = {name: parameter.detach() for name, parameter in parameters.items()}
        contents = {
            "model.safetensors": save(tensors),
            "optimizer.safetensors": save(moments),
            "rng.safetensors": save({"cpu": torch.get_rng_state()}),
            "state.json": json.dumps({"step": step, **state}).encode(),
        }
        files = {name: self.store.put(f"{prefix}/{name}", data) for name, data in contents.items()}
        manifest = json.dumps({"step": step, "files": files}, sort_keys=True).encode()
        self.store.put(f"{prefix}/manifest.json", manifest)
        for old in self.complete_steps()[: -self.keep]:
            self.remove(old)

    def remove(self, step: int) -> None:
        """Delete one step, its manifest first, so that a half-deleted one doesn't count."""
        prefix = self._step_prefix(step)
        self.store.remove(f"{prefix}/manifest.json")
        for key in self.store.keys(prefix):
            self.store.remove(key)

    def load_latest(self, model: GeoVR, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put the newest sound checkpoint into model and optimiser; gives its state.

        None when there is none; a broken one is named in the log and passed over.
        """
        for step in reversed(self.complete_steps()):
            try:
                contents = self._read(step)
            except (StoreError, ValueError) as error:
                log.warning(
                    "checkpoint of step %d is broken, trying the one before: %s", step, error
                )
                continue
            return _restore(contents, model, optimizer)
        return None

    def _read(self, step: int) -> dict[str, bytes]:
        prefix = self._step_prefix(step)
        manifest = json.loads(self.store.get(f"{prefix}/manifest.json"))
        files = manifest.get("files") if isinstance(manifest, dict) else None
        if not isinstance(files, dict) or not set(_FILES) <= set(files):
            raise ValueError(f"{self.store.uri_of(prefix)}/manifest.json doesn't list its files")
        return {name: self.store.get(f"{prefix}/{name}", files[name]) for name in _FILES}


def trainable(model: GeoVR) -> dict[str, torch.nn.Parameter]:
    """What a checkpoint holds; frozen parameters are those of the base model, which is an input."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _restore(
    contents: dict[str, bytes], model: GeoVR, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    from safetensors.torch import load

    parameters = trainable(model)
    tensors = load(contents["model.safetensors"])
    if set(tensors) != set(parameters):
        different = sorted(set(tensors) ^ set(parameters))[:5]
        raise RuntimeError(f"checkpoint and model differ in parameters, e.g. {different}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    for key, value in load(contents["optimizer.safetensors"]).items():
        name, _, kind = key.rpartition("|")
        parameter = parameters[name]
        # `step` stays on the CPU, as AdamW keeps it
        moved = value if kind == "step" else value.to(parameter.device)
        optimizer.state[parameter][kind] = moved
    torch.set_rng_state(load(contents["rng.safetensors"])["cpu"])
    state: dict[str, Any] = json.loads(contents["state.json"])
    return state
