"""The commands that look at one clip: `geovr inspect ..` and `geovr reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

inspecting = typer.Typer(
    help="Look at one clip: numbers in the terminal, and a picture.", rich_markup_mode=None,
    no_args_is_help=True,
)  # fmt: skip
ClipOption = Annotated[
    str | None, typer.Option("--clip", help="Its id; the first one if not given.")
]
ClipsOption = Annotated[str, typer.Option(help="Directory or s3:// URI of the clips.")]
TargetsOption = Annotated[str | None, typer.Option(help="Directory or s3:// URI of the targets.")]
PictureOption = Annotated[Path, typer.Option(help="PNG to write.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _print(told: dict[str, Any], as_json: bool, *written: Path) -> None:
    import json

    if as_json:
        typer.echo(json.dumps(told, indent=1, default=str))
        return
    flat = {k: v for k, v in told.items() if not isinstance(v, dict)}
    for values in (flat, *(v for v in told.values() if isinstance(v, dict))):
        width = max((len(name) for name in values), default=0)
        for name, value in values.items():
            typer.echo(f"{name:{width}}  {value}")
    for path in written:
        typer.echo(f"written: {path}")


@inspecting.command("clip")
def inspect_clip(
    clips: ClipsOption = "artifacts/clips",
    clip: ClipOption = None,
    picture: PictureOption = Path("clip.png"),
    as_json: JsonOption = False,
) -> None:
    """Frames of a clip, and the questions about it."""
    from geovr.artifacts import ClipSet
    from geovr.inspection.inspect import inspect_clip as run

    _print(run(ClipSet.load(clips), clip, picture), as_json, picture)


@inspecting.command("targets")
def inspect_targets(
    clips: ClipsOption = "artifacts/clips",
    targets: TargetsOption = "artifacts/targets",
    clip: ClipOption = None,
    picture: PictureOption = Path("targets.png"),
    as_json: JsonOption = False,
) -> None:
    """What the teacher says: depth, confidence, features, camera path."""
    from geovr.artifacts import ClipSet, TargetSet
    from geovr.inspection.inspect import inspect_targets as run

    told = run(ClipSet.load(clips), TargetSet.load(targets or ""), clip, picture)
    _print(told, as_json, picture)


@inspecting.command("checkpoint")
def inspect_checkpoint(
    checkpoint: Annotated[str, typer.Argument(help="Directory or s3:// URI.")],
    clips: ClipsOption = "artifacts/clips",
    targets: TargetsOption = None,
    clip: ClipOption = None,
    picture: PictureOption = Path("checkpoint.png"),
    as_json: JsonOption = False,
) -> None:
    """What a model's own heads say about a clip, beside its teacher if --targets is given."""
    from geovr.artifacts import Checkpoint, ClipSet, TargetSet
    from geovr.inspection.inspect import inspect_checkpoint as run

    beside = TargetSet.load(targets) if targets else None
    told = run(Checkpoint.load(checkpoint), ClipSet.load(clips), beside, clip, picture)
    _print(told, as_json, picture)


def reconstruct(
    checkpoint: Annotated[
        str | None, typer.Argument(help="Directory or s3:// URI; none with --from targets.")
    ] = None,
    clips: ClipsOption = "artifacts/clips",
    clip: ClipOption = None,
    output: Annotated[Path, typer.Option(help="Directory to write.")] = Path("reconstruction"),
    source: Annotated[str, typer.Option("--from", help="checkpoint or targets.")] = "checkpoint",
    targets: TargetsOption = None,
    ground_truth: Annotated[
        Path | None, typer.Option(help="Of `geovr simulate`: prints how far off the room is.")
    ] = None,
    voxel: Annotated[float, typer.Option(help="Side of a voxel in metres; 0 keeps all.")] = 0.01,
    max_depth: Annotated[float, typer.Option(help="Leave farther points out, metres.")] = 15.0,
    drop: Annotated[
        float, typer.Option(help="Share of pixels of lowest teacher's confidence left out.")
    ] = 0.4,
    rrd: Annotated[bool, typer.Option("--rrd", help="Also a recording for Rerun.")] = False,
    as_json: JsonOption = False,
) -> None:
    """A clip as a coloured point cloud in metres, from a model's own depth and poses."""
    from geovr.artifacts import Checkpoint, ClipSet, TargetSet
    from geovr.config import validate
    from geovr.inspection.reconstruct import ReconstructConfig
    from geovr.inspection.reconstruct import reconstruct as run

    values = {
        "source": source, "voxel_m": voxel, "max_depth_m": max_depth, "drop_share": drop,
        "rrd": rrd,
    }  # fmt: skip
    told = run(
        validate(ReconstructConfig, values, source="geovr reconstruct"),
        ClipSet.load(clips),
        clip,
        output,
        checkpoint=Checkpoint.load(checkpoint) if checkpoint else None,
        targets=TargetSet.load(targets) if targets else None,
        ground_truth=ground_truth,
    )
    _print(told, as_json, *sorted(output.iterdir()))
