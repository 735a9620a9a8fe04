"""One model on many processes: replicated, or sharded by FSDP2; recomputation and compilation.

The backbone is what is large, so it alone is sharded. Tokens and heads stay whole on every rank,
which also lets ranks differ in which of them a batch needs. Gradients are summed, never averaged:
losses are divided by the global batch's counts already.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from geovr import distributed
from geovr.errors import UserError
from geovr.model.geovr import GeoVR
from geovr.training.config import ParallelConfig

_BUCKET = 1 << 25
"""Elements of gradients in one message; all at once would need as much memory again."""


def prepare(model: GeoVR, config: ParallelConfig, precision: str, device: torch.device) -> GeoVR:
    """Move the model to its device and make it ready for training on all ranks, in place.

    Raises:
        UserError: for sharding without several processes.
    """
    model.to(device)
    if config.activation_checkpointing != "none":
        recompute(model.backbone, everything=config.activation_checkpointing == "full")
    if config.compile:
        compile_blocks(model.backbone)
    if config.sharding != "none":
        shard(model, config.sharding, precision, device)
    return model


def recompute(backbone: Any, *, everything: bool) -> None:
    """Let the language model's layers be computed again in the backward pass.

    With `everything` only a layer's input is kept. Otherwise the results of attention and of
    products narrower than the MLP's inside are kept too, and what is computed again is cheap
    (norms, rotations, activations) or wide (the MLP's two inner products).
    """
    from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

    width = backbone.config.text_config.intermediate_size
    options: dict[str, Any] = {"use_reentrant": False}
    if not everything:
        policy = functools.partial(_keep_narrow, width)
        options["context_fn"] = functools.partial(create_selective_checkpoint_contexts, policy)
    for layer in backbone.model.language_model.layers:
        # hooks, which tap states and gather shards, stay outside of what is computed again
        layer.forward = functools.partial(checkpoint, layer.forward, **options)


def _keep_narrow(width: int, context: Any, op: Any, *args: Any, **kwargs: Any) -> Any:
    from torch.utils.checkpoint import CheckpointPolicy

    aten = torch.ops.aten
    products = (aten.mm.default, aten.addmm.default)
    attention = (
        aten._scaled_dot_product_flash_attention.default,
        aten._scaled_dot_product_flash_attention_for_cpu.default,
        aten._scaled_dot_product_efficient_attention.default,
        aten._scaled_dot_product_cudnn_attention.default,
    )
    kept = op in attention or (op in products and args[-1].shape[-1] < width)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def compile_blocks(backbone: Any, backend: str = "inductor") -> None:
    """Compile what does not depend on how rows are packed: MLPs and norms of every layer."""
    for layer in backbone.model.language_model.layers:
        for part in (layer.input_layernorm, layer.post_attention_layernorm, layer.mlp):
            part.compile(backend=backend, dynamic=True)


def shard(model: GeoVR, sharding: str, precision: str, device: torch.device) -> None:
    """Shard the backbone's parameters, layer by layer, over all ranks or over those of a node.

    Raises:
        UserError: for one process, or nodes of unequal size.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    world, local = distributed.world_size(), distributed.local_world_size()
    if world == 1:
        raise UserError(
            f"train.parallel.sharding: {sharding} needs several processes; give launch.nodes and"
            " launch.processes_per_node, or set it to none"
        )
    if sharding == "hybrid":
        shape = (world // local, local)
        mesh = init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard"))
    else:
        mesh = init_device_mesh(device.type, (world,), mesh_dim_names=("shard",))
    policy = MixedPrecisionPolicy()
    if precision == "bfloat16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    visual, language = model.backbone.model.visual, model.backbone.model.language_model
    for block in [*visual.blocks, *language.layers]:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    whole = set(model.head_parameters().values())
    fully_shard(model, mesh=mesh, mp_policy=policy, ignored_params=whole)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # plain sums are what gloo has, and what NCCL is fastest at
            module.set_force_sum_reduction_for_comms(True)


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether a rank holds a part of it only."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def local_part(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds."""
    part: torch.Tensor = tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return part


def sum_replicated(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients of whole parameters over ranks; one unused on this rank counts as zero.

    Sharded ones were summed in the backward pass.
    """
    if distributed.world_size() == 1:
        return
    bucket: list[torch.Tensor] = []
    size = 0
    for parameter in parameters:
        if is_sharded(parameter):
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if bucket and (size > _BUCKET or bucket[0].dtype != parameter.grad.dtype):
            _sum_bucket(bucket)
            bucket, size = [], 0
        bucket.append(parameter.grad)
        size += parameter.grad.numel()
    if bucket:
        _sum_bucket(bucket)


def _sum_bucket(grads: list[torch.Tensor]) -> None:
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    torch.distributed.all_reduce(flat)
    at = 0
    for grad in grads:
        grad.copy_(flat[at : at + grad.numel()].view_as(grad))
        at += grad.numel()


def parameter_groups(model: GeoVR) -> dict[str, list[nn.Parameter]]:
    """Trained parameters by the part of the model they belong to, for norms in the log."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_part(name), []).append(parameter)
    return groups


def _part(name: str) -> str:
    if name.startswith("backbone.model.visual."):
        return "vision"
    if name.startswith("backbone."):
        return "language"
    return name.split(".")[0]


def clip_gradients(groups: dict[str, list[nn.Parameter]], most: float) -> dict[str, float]:
    """Scale all gradients so that their common norm is at most `most`.

    Returns:
        norms before that, by group, and of all under "".
    """
    device = next(p.device for ps in groups.values() for p in ps)
    whole = torch.stack([_square(ps, device, sharded=False) for ps in groups.values()])
    parts = torch.stack([_square(ps, device, sharded=True) for ps in groups.values()])
    mesh = next((p.device_mesh for ps in groups.values() for p in ps if is_sharded(p)), None)  # type: ignore[attr-defined]
    if mesh is not None:
        # over the ranks that share the shards; replicas of them hold the same
        torch.distributed.all_reduce(parts, group=mesh.get_group(mesh.ndim - 1))
    by_group = (whole + parts).tolist()
    norms = {name: math.sqrt(value) for name, value in zip(groups, by_group, strict=True)}
    norms[""] = math.sqrt(sum(by_group))
    scale = most / (norms[""] + 1e-6)
    if scale < 1:
        for parameters in groups.values():
            grads = [local_part(p.grad) for p in parameters if p.grad is not None]
            if grads:
                torch._foreach_mul_(grads, scale)
    return norms


def _square(
    parameters: Iterable[nn.Parameter], device: torch.device, *, sharded: bool
) -> torch.Tensor:
    grads = [
        local_part(p.grad) for p in parameters if p.grad is not None and is_sharded(p) == sharded
    ]
    if not grads:
        return torch.zeros((), dtype=torch.float64, device=device)
    return torch.stack(torch._foreach_norm(grads)).double().square().sum()


def whole_state(model: GeoVR) -> dict[str, torch.Tensor]:
    """All values of the model on the CPU of rank 0, nothing on the others; all ranks call it."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return dict(get_model_state_dict(model, options=options))  # type: ignore[arg-type]
