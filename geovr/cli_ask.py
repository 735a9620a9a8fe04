"""The command that asks a model: `geovr ask`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json


def ask(
    question: Annotated[str, typer.Argument(help="What to ask about the video.")],
    video: Annotated[Path, typer.Option(help="Video file.")],
    model: Annotated[
        str,
        typer.Option(
            help="models:/NAME@ALIAS, models:/NAME/VERSION, a checkpoint's directory or s3:// URI,"
            " or the directory of a stock Qwen3-VL."
        ),
    ] = "models:/geovr@champion",
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option to choose from, without its letter; may be repeated."),
    ] = None,
    free: Annotated[
        bool, typer.Option("--free", help="Take any text; else a number, or an option's letter.")
    ] = False,
    frames: Annotated[
        Path | None, typer.Option(help="PNG to write, with the frames that were seen.")
    ] = None,
    num_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames to look at. [default: as in its training]")
    ] = None,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Ask a model one question about a video file."""
    cli_json.start(as_json)
    from geovr.asking import ask as asking
    from geovr.asking.model import answering
    from geovr.data.sampling import SamplerConfig

    sampler = SamplerConfig(kind="uniform", num_frames=num_frames) if num_frames else None
    with answering(model) as opened, cli_json.quiet_stdout(as_json):
        reply = asking.ask(opened, video, question, option or [], sampler=sampler, free=free)
        if frames is not None:
            from geovr.inspection.pictures import draw_clip, save

            save(draw_clip(reply.frames_THWC, reply.timestamps_T, f"{question} {reply.answer}"),
                 frames)  # fmt: skip
    if as_json:
        cli_json.tell(asking.as_json(reply, opened, frames))
        return
    typer.echo(reply.answer)
    seen = f"{len(reply.timestamps_T)} frames, {reply.tokens} tokens"
    typer.echo(f"{opened.called}: {seen}", err=True)
    if frames is not None:
        typer.echo(f"written: {frames}", err=True)
