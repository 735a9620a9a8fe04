"""Heads: published sizes, taps after the published table, and what each gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR, student_layers
from geovr.model.heads import CameraHead, FeatureHead, ScaleHead, make_depth_head
from geovr.model.initialise import init_model

WIDTHS = {2048: "2B", 2560: "4B", 4096: "8B"}


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def test_tapped_layers_follow_the_published_table() -> None:
    """Teacher layers 5, 12, 18, 24 of 24, and those of the 40-layer teacher, for 28 and 36."""
    table = {
        (24, (5, 12, 18, 24)): {28: (6, 14, 21, 28), 36: (8, 18, 27, 36)},
        (40, (20, 28, 34, 40)): {28: (14, 20, 24, 28), 36: (18, 25, 31, 36)},
        (40, (19, 27, 33, 39)): {28: (13, 19, 23, 27), 36: (17, 24, 30, 35)},
    }
    for (depth, layers), by_student in table.items():
        for student, wanted in by_student.items():
            assert student_layers(layers, depth, student) == wanted


@pytest.mark.parametrize(
    "width, camera, scale, features, dense",
    [
        (2048, 5.53, 1.05, 12.6, 32.335),
        (2560, 6.31, 1.32, 14.7, 33.778),
        (4096, 8.68, 2.11, 21.0, 38.11),
    ],
)
def test_head_sizes_are_the_published_ones(
    width: int, camera: float, scale: float, features: float, dense: float
) -> None:
    with torch.device("meta"):
        found = [
            millions(CameraHead(width)),
            millions(ScaleHead(width)),
            4 * millions(FeatureHead(width, 1024)),
            millions(make_depth_head(HeadsConfig(), width)),
        ]
    wanted = (camera, scale, features, dense)
    for have, want, digits in zip(found, wanted, (2, 2, 1, 2), strict=True):
        assert have == pytest.approx(want, abs=0.5001 * 10**-digits)


@pytest.mark.parametrize("kind, printed", [("dense", 32.3), ("dpt", 32.7), ("mlp", 13.6)])
def test_depth_heads_have_the_sizes_of_table_five(kind: str, printed: float) -> None:
    with torch.device("meta"):
        head = make_depth_head(HeadsConfig(depth_head=kind, depth_patch=8), 2048)  # type: ignore[arg-type]
    assert round(millions(head), 1) == printed


@pytest.mark.parametrize("kind", ["dense", "dpt", "mlp"])
@pytest.mark.parametrize("size, grid", [((28, 42), (2, 3)), ((30, 23), (3, 2)), ((7, 64), (1, 4))])
def test_depth_has_the_size_of_the_target(
    kind: str, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    config = HeadsConfig(
        depth_head=kind,  # type: ignore[arg-type]
        depth_channels=(8, 8, 8, 8),
        depth_features=16,
        depth_hidden=8,
        depth_patch=4,
    )
    head = make_depth_head(config, 32)
    depth = head([torch.randn(5, 32, *grid) for _ in range(4)], size)
    assert depth.shape == (5, *size) and depth.dtype == torch.float32
    assert (depth > 0).all()
    huge = head([1e6 * torch.randn(5, 32, *grid) for _ in range(4)], size)
    assert huge.isfinite().all()
    depth.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("levels", [(0,), (1, 3), (0, 1, 2, 3)])
def test_only_the_chosen_levels_are_learnt(tmp_path: Path, levels: tuple[int, ...]) -> None:
    """Table 4's choices: heads and taps exist for the chosen layers alone."""
    init_model("tiny", tmp_path / "tiny", seed=0)
    backbone, _ = load_backbone(tmp_path / "tiny")
    depth = backbone.config.text_config.num_hidden_layers
    config = HeadsConfig(feature_levels=levels)
    model = GeoVR(backbone, config, Objectives(depth=False), 16)
    wanted = student_layers([config.feature_layers[level] for level in levels], 24, depth)
    assert model.feature_layers == wanted and model.tapped == tuple(sorted(set(wanted)))
    assert len(model.feature_heads) == len(levels)
    every = GeoVR(backbone, config, Objectives(), 16)
    assert set(every.tapped) == set(wanted) | set(every.depth_layers)
    assert GeoVR(backbone, config, Objectives(depth=False, features=False), 16).tapped == ()


@pytest.mark.parametrize(
    "values, named",
    [
        ({"depth_layers": (5, 12, 18, 25)}, "depth_layers"),
        ({"feature_layers": (0, 12, 18, 24)}, "feature_layers"),
        ({"feature_levels": (1, 1)}, "feature_levels"),
        ({"feature_levels": (2, 4)}, "feature_levels"),
        ({"depth_head": "mlp", "depth_features": 200}, "depth_features"),
    ],
)
def test_impossible_taps_and_heads_are_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        HeadsConfig(**values)  # type: ignore[arg-type]
