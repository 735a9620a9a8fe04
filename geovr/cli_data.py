"""The commands that make what a run starts from: `geovr simulate` and `geovr init-model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geovr import cli_json


def simulate(
    output: Annotated[Path, typer.Option(help="Directory to write to; complete scenes stay.")],
    preset: Annotated[str, typer.Option(help="demo, study or rooms.")] = "demo",
    seed: Annotated[int, typer.Option(help="Same seed, same scenes and questions.")] = 0,
    scenes: Annotated[
        str | None,
        typer.Option(help="TRAIN+TEST instead of the preset's, e.g. 8+4; 40 is 32+8."),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Width x height, e.g. 64x48.")] = None,
    frames: Annotated[int | None, typer.Option(help="Of each video.")] = None,
    furniture: Annotated[
        Path | None, typer.Option(help="Directory of furniture libraries, for preset rooms.")
    ] = None,
    preview: Annotated[bool, typer.Option(help="Write a contact sheet of each scene.")] = False,
    processes: Annotated[int, typer.Option(help="Worker processes; 0: one a core.")] = 0,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Render rooms to video files, with exact ground truth and questions about them."""
    cli_json.start(as_json)
    from geovr.config import validate
    from geovr.errors import UserError
    from geovr.simulation.simulate import SimulateConfig
    from geovr.simulation.simulate import simulate as run

    values: dict[str, Any] = {
        "preset": preset, "output": output, "seed": seed, "size": size, "processes": processes,
        "frames": frames, "furniture": furniture, "preview": preview,
    }  # fmt: skip
    if scenes is not None:
        train, plus, test = scenes.partition("+")
        if not plus and train.isdecimal():  # a fifth is for testing
            train, test = str(int(train) - int(train) // 5), str(int(train) // 5)
        if not (train.isdecimal() and test.isdecimal()):
            raise UserError(f"--scenes {scenes}: write it as TRAIN+TEST, e.g. 8+4, or as their sum")
        values |= {"train_scenes": int(train), "test_scenes": int(test)}
    config = validate(SimulateConfig, values, source="geovr simulate")
    with cli_json.quiet_stdout(as_json):
        told = run(config)
    if as_json:
        cli_json.tell({"status": "done", "exit_code": 0, **told})


def init_model(
    output: Annotated[Path, typer.Option(help="Directory to write.")],
    preset: Annotated[
        str, typer.Option(help="tiny; study: phrases of the study are tokens.")
    ] = "tiny",
    seed: Annotated[int, typer.Option(help="Of the weights.")] = 0,
) -> None:
    """Write a small Qwen3-VL that loads like a downloaded one, with no network."""
    from geovr.model.initialise import init_model as run

    run(preset, output, seed)  # type: ignore[arg-type]
