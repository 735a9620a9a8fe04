"""The commands for models that are trained: `geovr export`, `promote` and `rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geovr.cli_options import ParamsOption, SetOption


def export(
    checkpoint: Annotated[str, typer.Argument(help="Directory or s3:// URI of a checkpoint.")],
    directory: Annotated[Path, typer.Argument(help="Directory to write.")],
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "bfloat16",
    force: Annotated[bool, typer.Option(help="Replace what stands there.")] = False,
) -> None:
    """Write a trained model as a stock Qwen3-VL directory, with its heads beside it."""
    from geovr.artifacts import Checkpoint
    from geovr.export import export_checkpoint

    written = export_checkpoint(Checkpoint.load(checkpoint), directory, dtype, force=force)
    for name, size in written.items():
        typer.echo(f"{size / 1e6:10.2f} MB  {name}")
    typer.echo(
        f"{directory} loads with transformers' AutoProcessor and AutoModelForImageTextToText"
    )


def promote(
    model: Annotated[str | None, typer.Option(help="Name of the registered model.")] = None,
    version: Annotated[
        int | None, typer.Option(help="Version number; the challenger when not given.")
    ] = None,
    min_gain: Annotated[
        float | None, typer.Option(help="What the interval must lie above.")
    ] = None,
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
) -> None:
    """Make a version champion, if it is better on the same benchmark and its lineage allows it;
    exits 3 when not. What isn't given is taken from the params file's section register.
    """
    from geovr.promotion import promote as run
    from geovr.stages import BY_NAME
    from geovr.stages.run import optional_config

    config: Any = optional_config(BY_NAME["register"], params, overrides or [])
    policy = config.policy
    if min_gain is not None:
        policy = policy.model_copy(update={"min_gain": min_gain})
    champion = run(
        config.model_name if model is None else model,
        version,
        policy,
        commercial=config.require_commercial_use,
    )
    typer.echo(f"{champion.name} version {champion.number} is champion")


def rollback(
    model: Annotated[str | None, typer.Option(help="Name of the registered model.")] = None,
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
) -> None:
    """Make the version that was champion before it again; a second time takes that back."""
    from geovr.promotion import rollback as run
    from geovr.stages import BY_NAME
    from geovr.stages.run import optional_config

    config: Any = optional_config(BY_NAME["register"], params, overrides or [])
    champion, was = run(config.model_name if model is None else model)
    typer.echo(f"{champion.name} version {champion.number} is champion again, not {was.number}")
