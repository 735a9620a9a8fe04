"""GeoVR: a stock Qwen3-VL with camera and scale tokens, taps and heads around it.

Everything but `backbone` is for training only; the export is the backbone alone.

Shape suffixes: B rows, N time slots of all rows, V visual tokens of all rows, D model width,
M label places, K=9 pose numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from geovr.data.batch import Batch
from geovr.losses.camera import camera_loss
from geovr.losses.depth import depth_loss, silog_loss
from geovr.losses.feature import feature_loss
from geovr.losses.language import language_loss
from geovr.losses.objectives import Objectives
from geovr.losses.scale import scale_loss
from geovr.losses.total import LossSums
from geovr.model.config import HeadsConfig
from geovr.model.forward import tap_layers, text_states, visual_features
from geovr.model.heads import CameraHead, FeatureHead, ScaleHead, make_depth_head


def student_layers(
    layers: Sequence[int], teacher_depth: int, student_depth: int
) -> tuple[int, ...]:
    """Counterparts (from 1) of teacher layers: round(g / G * L), halves to even, at least 1."""
    return tuple(max(1, round(layer * student_depth / teacher_depth)) for layer in layers)


def embedding_std(backbone: Any) -> float:
    """Deviation of the text embeddings; of those to be drawn when they hold no values yet."""
    table = backbone.get_input_embeddings().weight
    if table.is_meta:
        return float(backbone.config.text_config.initializer_range)
    return float(table.detach().float().std())


class GeoVR(nn.Module):
    """Qwen3-VL and the parts that geometric objectives need; parts of switched-off ones are absent.

    Args:
        backbone: Qwen3VLForConditionalGeneration.
        heads: sizes and layout.
        objectives: which losses.
        feature_dim: channels of the teacher's features.
    """

    def __init__(
        self, backbone: Any, heads: HeadsConfig, objectives: Objectives, feature_dim: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads_config, self.objectives, self.feature_dim = heads, objectives, feature_dim
        text = backbone.config.text_config
        width: int = text.hidden_size
        chosen = tuple(heads.feature_layers[level] for level in heads.feature_levels)
        self.depth_layers, self.feature_layers = (
            student_layers(layers, heads.teacher_depth, text.num_hidden_layers)
            for layers in (heads.depth_layers, chosen)
        )
        std = heads.token_std or embedding_std(backbone)
        if objectives.camera:
            # like the teacher's, the first frame's token differs from all others'
            self.camera_tokens = nn.Parameter(torch.randn(2, width) * std)
            self.camera_head = CameraHead(width, heads.camera_hidden)
        if objectives.scale:
            self.scale_token = nn.Parameter(torch.randn(1, width) * std)
            self.scale_head = ScaleHead(width, heads.scale_hidden)
        if objectives.depth:
            self.depth_head = make_depth_head(heads, width)
        if objectives.features:
            self.feature_heads = nn.ModuleList(
                FeatureHead(width, feature_dim) for _ in heads.feature_levels
            )

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """Parameters that are not the backbone's, by name."""
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if not name.startswith("backbone.")
        }

    @property
    def tapped(self) -> tuple[int, ...]:
        """Layers whose states are kept, ascending: those that some head needs."""
        depth = self.depth_layers if self.objectives.depth else ()
        features = self.feature_layers if self.objectives.features else ()
        return tuple(sorted({*depth, *features}))

    def _place_tokens(self, flat: torch.Tensor, batch: Batch) -> torch.Tensor:
        if self.objectives.camera:
            table = self.camera_tokens.to(flat.dtype)
            chosen = table[(~batch.camera_first_N).long()]
            flat = flat.index_copy(0, batch.camera_N, chosen)
        if self.objectives.scale:
            token = self.scale_token.to(flat.dtype).expand(len(batch.scale_S), -1)
            flat = flat.index_copy(0, batch.scale_S, token)
        return flat

    def states(self, batch: Batch) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
        """Last states of all tokens, (B * L, D), and of visual tokens after each tapped layer.

        The states after layer l are (V, D), with l's own DeepStack addition.
        """
        visual_VD, deepstack = visual_features(self.backbone, batch)
        with tap_layers(self.backbone, self.tapped, batch.visual_V) as taps:
            states_BLD = text_states(
                self.backbone,
                batch,
                visual_VD,
                deepstack,
                (lambda flat: self._place_tokens(flat, batch)) if self.objectives.tokens else None,
            )
        flat = states_BLD.reshape(-1, states_BLD.shape[-1])
        last = len(self.backbone.model.language_model.layers)
        if self.heads_config.last_tap == "post_norm" and last in taps:
            taps[last] = flat[batch.visual_V]
        return flat, taps

    def forward(self, batch: Batch) -> LossSums:
        """Losses of a batch, as sums over samples (see losses/total.py)."""
        flat, taps = self.states(batch)
        losses = LossSums()
        logits_MV = self.backbone.lm_head(flat[batch.label_at_M])
        losses["text"] = language_loss(logits_MV, batch.label_M)
        if self.objectives.any:
            self._geometry(batch, flat, taps, losses)
        return losses

    def _geometry(
        self,
        batch: Batch,
        flat: torch.Tensor,
        taps: dict[int, torch.Tensor],
        losses: LossSums,
    ) -> None:
        """Geometric losses: heads run on all clips at once, losses on clips that stack.

        A clip counts as often as its row has questions: a packed row is as many samples.
        """
        slots = batch.camera_slots_I.tolist()
        scale_at = (batch.scaled_I.cumsum(0) - 1).tolist()
        pose_clips = log_scale = None
        if self.objectives.camera:
            pose_clips = self.camera_head(flat[batch.camera_N]).split(slots)
        if self.objectives.scale:
            log_scale = self.scale_head(flat[batch.scale_S])
        every = torch.tensor(batch.weights(), device=flat.device)
        for clips in same_size_groups(batch):
            weights = every[clips]
            targets = [batch.targets[clip] for clip in clips]
            present = [target for target in targets if target is not None]
            if pose_clips is not None and slots[clips[0]]:
                moving = weights * torch.tensor([t.moving for t in present], device=flat.device)
                predicted = torch.stack([pose_clips[clip] for clip in clips])
                wanted = torch.stack([t.pose_encoding_TK for t in present])
                same = self.objectives.same_rotation
                losses.add("camera", camera_loss(predicted, wanted, same_rotation=same), moving)
            if log_scale is not None and bool(batch.scaled_I[clips[0]]):
                valid = weights * torch.tensor(
                    [t.metric_scale_valid for t in present], device=flat.device
                )
                wanted = torch.stack([t.metric_scale for t in present])
                # an undefined scale is masked out; 1 keeps its loss finite until then
                wanted = torch.where(valid > 0, wanted, torch.ones_like(wanted))
                predicted = log_scale[[scale_at[clip] for clip in clips]]
                losses.add("scale", scale_loss(predicted, wanted), valid)
            if not taps:
                continue
            maps = self.level_maps(batch, taps, clips)
            if self.objectives.depth:
                wanted = torch.stack([t.depth_THW for t in present])
                size = (wanted.shape[-2], wanted.shape[-1])
                levels = [maps[layer] for layer in self.depth_layers]
                predicted = self.depth_head(levels, size).view(wanted.shape)
                loss = depth_loss if self.objectives.depth_loss == "l1" else silog_loss
                losses.add("depth", loss(predicted, wanted), weights)
            if self.objectives.features:
                wanted_BN = torch.stack([t.features_NTHWC for t in present])
                grid = (wanted_BN.shape[-3], wanted_BN.shape[-2])
                by_level = [
                    feature_loss(
                        head(maps[layer], grid).view(len(clips), -1, wanted_BN.shape[-1]),
                        wanted_BN[:, level].flatten(1, 3),
                    )
                    for head, layer, level in zip(
                        self.feature_heads,
                        self.feature_layers,
                        self.heads_config.feature_levels,
                        strict=True,
                    )
                ]
                losses.add("features", torch.stack(by_level).mean(0), weights)

    def level_maps(
        self, batch: Batch, taps: dict[int, torch.Tensor], clips: Sequence[int]
    ) -> dict[int, torch.Tensor]:
        """Tapped states of clips of one size as images, (clips * T, D, h, w), by layer."""
        merge = self.backbone.config.vision_config.spatial_merge_size
        counts = (batch.grid_I3.prod(-1) // merge**2).tolist()
        starts = [sum(counts[:clip]) for clip in range(len(counts))]
        T, gh, gw = batch.grid_I3[clips[0]].tolist()
        places = torch.cat(
            [
                torch.arange(starts[c], starts[c] + counts[c], device=batch.row_I.device)
                for c in clips
            ]
        )
        return {
            layer: states[places]
            .view(len(clips) * T, gh // merge, gw // merge, -1)
            .permute(0, 3, 1, 2)
            for layer, states in taps.items()
        }


def same_size_groups(batch: Batch) -> list[list[int]]:
    """Clips with targets, grouped so that each group's tokens, grids and targets stack."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for clip, target in enumerate(batch.targets):
        if target is not None:
            key = (
                tuple(batch.grid_I3[clip].tolist()),
                int(batch.camera_slots_I[clip]),
                bool(batch.scaled_I[clip]),
                tuple(target.depth_THW.shape),
                tuple(target.features_NTHWC.shape),
            )
            groups.setdefault(key, []).append(clip)
    return list(groups.values())
