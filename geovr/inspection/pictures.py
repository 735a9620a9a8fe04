"""Pictures of clips, targets, predictions and clouds. The only user of matplotlib.

Colours are read by people with any colour vision: viridis for quantities, blue and orange apart.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geovr.evaluation.statistics import Interval, Verdict
from geovr.inspection.cloud import Cloud, camera_centres
from geovr.inspection.loading import Geometry
from geovr.storage import write_atomic

MOST_COLUMNS = 8
_PATH_COLOURS = ("tab:blue", "tab:orange")
_VERDICTS: dict[str, str] = {
    "above": "tab:blue",
    "not distinguishable": "tab:gray",
    "below": "tab:orange",
}


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG."""
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    write_atomic(path, data.getvalue())


def columns_of(frames: int) -> np.ndarray:
    """Places of the frames that are shown, at most eight, first and last among them."""
    return np.unique(np.linspace(0, frames - 1, min(frames, MOST_COLUMNS)).round().astype(int))


def draw_clip(frames_THWC: np.ndarray, timestamps_T: np.ndarray, title: str) -> Any:
    """Frames in a row, with their times."""
    shown = columns_of(len(frames_THWC))
    height, width = frames_THWC.shape[1:3]
    figure = _figure(1.6 * len(shown), 1.6 * height / width + 0.7)
    figure.suptitle(title)
    for axis, place in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        axis.imshow(frames_THWC[place])
        axis.set_title(f"{timestamps_T[place]:.1f} s", fontsize=8)
        axis.axis("off")
    return figure


def draw_geometry(said: Sequence[Geometry], title: str) -> Any:
    """Frames, then depth, confidence and features of each source, and all camera paths.

    Depths of all sources share one colour scale, in metres where the scale is known.
    """
    frames = min(len(one.depth_THW) for one in said)
    shown = columns_of(frames)
    rows: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
        ("frames", [said[0].frames_THW3[p] for p in shown], {})
    ]
    depths = [one.depth_THW * (one.metric_scale or 1.0) for one in said]
    seen = np.concatenate([d[np.isfinite(d)] for d in depths])
    limits = {"vmin": 0.0, "vmax": float(np.quantile(seen, 0.98)) if len(seen) else 1.0}
    for one, depth in zip(said, depths, strict=True):
        unit = "m" if one.metric_scale else "units"
        rows.append(
            (f"depth ({unit})\n{one.source}", [depth[p] for p in shown],
             {"cmap": "viridis_r", **limits})
        )  # fmt: skip
        if one.confidence_THW is not None:
            rows.append(
                ("confidence", [one.confidence_THW[p] for p in shown],
                 {"cmap": "gray", "vmin": 0, "vmax": 1})
            )  # fmt: skip
        if one.features is not None:
            colours = principal_colours(one.features[-1])
            rows.append((f"features (PCA)\n{one.source}", [colours[p] for p in shown], {}))
    height, width = said[0].frames_THW3.shape[1:3]
    tall = 1.5 * height / width
    figure = _figure(1.5 * len(shown) + 4.2, max(3.2, tall * len(rows) + 0.8))
    figure.suptitle(title)
    pictures, plan = figure.subfigures(1, 2, width_ratios=[1.5 * len(shown) + 0.7, 3.5])
    grid = np.reshape(pictures.subplots(len(rows), len(shown)), (len(rows), len(shown)))
    for axes, (name, images, options) in zip(grid, rows, strict=True):
        for axis, image in zip(axes, images, strict=True):
            drawn = axis.imshow(image, **options)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[0].set_ylabel(name, fontsize=8)
        if options:
            pictures.colorbar(drawn, ax=list(axes), fraction=0.02, pad=0.01)
    draw_paths(plan.subplots(), said)
    return figure


def draw_paths(axis: Any, said: Sequence[Geometry]) -> None:
    """Camera paths seen from above: x to the right, z ahead of the first camera."""
    for one, colour in zip(said, _PATH_COLOURS, strict=False):
        path = camera_centres(one)
        axis.plot(path[:, 0], path[:, 2], "o-", markersize=3, color=colour, label=one.source)
        axis.plot(*path[0, [0, 2]], "s", color=colour)
    axis.set_aspect("equal", adjustable="datalim")
    unit = "m" if said[0].metric_scale else "teacher's unit"
    axis.set_xlabel(f"right of the first camera ({unit})")
    axis.set_ylabel(f"ahead of it ({unit})")
    axis.set_title("camera path from above", fontsize=9)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)


def principal_colours(features_ThwC: np.ndarray) -> np.ndarray:
    """The three main directions of features over a clip as red, green and blue, in [0, 1]."""
    flat = features_ThwC.reshape(-1, features_ThwC.shape[-1]).astype(np.float64)
    flat = flat - flat.mean(0)
    _, _, directions = np.linalg.svd(flat, full_matrices=False)
    main = flat @ directions[:3].T
    low, high = np.quantile(main, 0.02, axis=0), np.quantile(main, 0.98, axis=0)
    scaled = np.clip((main - low) / np.maximum(high - low, 1e-12), 0, 1)
    if scaled.shape[1] < 3:
        scaled = np.pad(scaled, ((0, 0), (0, 3 - scaled.shape[1])))
    colours: np.ndarray = scaled.reshape(*features_ThwC.shape[:-1], 3)
    return colours


def draw_cloud(cloud: Cloud, geometry: Geometry, title: str, most: int = 60_000) -> Any:
    """A cloud from above and from an angle, with the camera's path."""
    points, colours = cloud.points_P3, cloud.colours_P3 / 255
    if len(points) > most:
        chosen = np.random.default_rng(0).choice(len(points), most, replace=False)
        points, colours = points[chosen], colours[chosen]
    path = camera_centres(geometry)
    unit = "m" if geometry.metric_scale else "units"
    figure = _figure(11, 5)
    figure.suptitle(title)
    above = figure.add_subplot(1, 2, 1)
    # what is low is drawn first, so that a floor doesn't hide what stands on it; y points down
    order = np.argsort(-points[:, 1])
    above.scatter(points[order, 0], points[order, 2], c=colours[order], s=1.5, linewidths=0)
    above.plot(path[:, 0], path[:, 2], "-", color="tab:red", linewidth=1.5, label="camera")
    above.set_aspect("equal")
    above.set_xlabel(f"right ({unit})")
    above.set_ylabel(f"ahead ({unit})")
    above.set_title("from above", fontsize=9)
    above.legend(fontsize=8)
    angle = figure.add_subplot(1, 2, 2, projection="3d")
    angle.scatter(
        points[:, 0], points[:, 2], -points[:, 1], c=colours, s=1.5, linewidths=0, depthshade=False
    )
    angle.plot(path[:, 0], path[:, 2], -path[:, 1], color="tab:red", linewidth=1.5)
    angle.set_aspect("equal")
    angle.view_init(elev=50, azim=-60)
    angle.set_title("from an angle", fontsize=9)
    return figure


def depth_colours(depth_HW: np.ndarray, most: float) -> np.ndarray:
    """Depth from 0 to `most` in the colours of `draw_geometry`, uint8 (H, W, 3).

    What is no number is grey.
    """
    from matplotlib import colormaps

    share = np.clip(np.nan_to_num(depth_HW.astype(np.float64), posinf=most) / most, 0, 1)
    colours: np.ndarray = (colormaps["viridis_r"](share)[..., :3] * 255).round().astype(np.uint8)
    colours[np.isnan(depth_HW)] = 128
    return colours


def draw_forest(lines: Sequence[tuple[str, int, Interval, Verdict]], title: str) -> Any:
    """Differences with their intervals, one below the other, and zero as a line.

    Args:
        lines: what it is a difference of, how many items, the difference as a share of 1, and the
            verdict; the first one stands apart.
        title: above it all.
    """
    figure = _figure(8.0, 1.5 + 0.32 * len(lines))
    axis = figure.subplots()
    for number, (_, _, gap, verdict) in enumerate(lines):
        axis.errorbar(
            100 * gap.mean,
            number,
            xerr=[[100 * max(0.0, gap.mean - gap.low)], [100 * max(0.0, gap.high - gap.mean)]],
            fmt="D" if number == 0 else "o",
            color=_VERDICTS[verdict],
            markersize=7 if number == 0 else 5,
            capsize=3,
        )
    axis.axvline(0, color="black", linewidth=0.8)
    axis.axhline(0.5, color="lightgray", linewidth=0.8)
    axis.set_yticks(range(len(lines)), [f"{name} (n={items})" for name, items, *_ in lines])
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_xlabel("A - B, points [95 %]; blue: above, orange: below, after adjustment")
    axis.grid(axis="x", alpha=0.3)
    axis.set_title(title, fontsize=9)
    return figure
