"""`geovr reconstruct`: a clip as a coloured point cloud in metres."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from geovr.artifacts import Checkpoint, ClipSet, TargetSet
from geovr.config import Config
from geovr.errors import UserError
from geovr.inspection import pictures
from geovr.inspection.cloud import make_cloud, write_cameras, write_ply, write_rerun
from geovr.inspection.loading import load_clip, predicted, taught
from geovr.inspection.truth import room_errors


class ReconstructConfig(Config):
    """Which points stay, and what is written."""

    source: Literal["checkpoint", "targets"] = "checkpoint"
    voxel_m: float = Field(0.01, ge=0, description="Side of a voxel in metres; 0 keeps all.")
    max_depth_m: float = Field(15.0, gt=0, description="Farther points are left out.")
    drop_share: float = Field(
        0.4, ge=0, lt=1, description="Share of pixels of the lowest teacher's confidence left out."
    )
    rrd: bool = Field(False, description="Also a recording for the Rerun viewer.")


def reconstruct(
    config: ReconstructConfig,
    clips: ClipSet,
    clip_id: str | None,
    output: Path,
    *,
    checkpoint: Checkpoint | None,
    targets: TargetSet | None,
    ground_truth: Path | None,
) -> dict[str, Any]:
    """Write cloud.ply, cameras.json and cloud.png.

    Args:
        config: which points stay.
        clips: where the clip is from.
        clip_id: None for the first one.
        output: directory.
        checkpoint: whose heads speak, with source checkpoint.
        targets: which speak, with source targets.
        ground_truth: of `geovr simulate`, to be compared with.

    Returns:
        numbers to print.

    Raises:
        UserError: when what the source needs is missing.
    """
    clip = load_clip(clips, clip_id)
    if config.source == "targets":
        if targets is None:
            raise UserError("--from targets needs --targets")
        geometry = taught(targets, clip)
    elif checkpoint is None:
        raise UserError("--from checkpoint needs a checkpoint")
    else:
        geometry = predicted(checkpoint, clips, clip)
    cloud = make_cloud(
        geometry,
        voxel_m=config.voxel_m,
        max_depth_m=config.max_depth_m,
        drop_share=config.drop_share,
    )
    if not len(cloud.points_P3):
        raise UserError(f"{clip.clip_id}: no point is left; raise max_depth_m or lower drop_share")
    output.mkdir(parents=True, exist_ok=True)
    write_ply(output / "cloud.ply", cloud)
    write_cameras(output / "cameras.json", geometry)
    title = f"{clip.clip_id}, by the {geometry.source}"
    pictures.save(pictures.draw_cloud(cloud, geometry, title), output / "cloud.png")
    if config.rrd:
        write_rerun(output / "cloud.rrd", cloud, geometry)
    told: dict[str, Any] = {
        "clip": clip.clip_id,
        "source": geometry.source,
        "points": len(cloud.points_P3),
        "metric scale": geometry.metric_scale or "unknown",
    }
    if ground_truth is not None:
        found = room_errors(geometry, clip, ground_truth)
        told |= {
            "walls, median error (m)": f"{found.walls:.4f}",
            "all points, median error (m)": f"{found.points:.4f}",
            "walls, share of the room's diagonal": f"{found.walls / found.diagonal:.2%}",
        }
    return told
