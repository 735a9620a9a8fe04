"""`geovr report`: the page of a run, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr.cli_options import ParamsOption, SetOption


def report(
    run: Annotated[
        str,
        typer.Argument(
            help="An MLflow run's id, or the directory or s3:// URI of what register or evaluate"
            " wrote."
        ),
    ] = "artifacts/model_version",
    output: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
) -> None:
    """Make the page that shows a whole run again, from what its stages left in the store.

    What it shows is taken from the params file's section register, under report.
    """
    import tempfile

    from geovr.report.make import make_report, open_root
    from geovr.stages import BY_NAME
    from geovr.stages.register import RegisterConfig
    from geovr.stages.run import optional_config
    from geovr.storage import write_atomic

    config = optional_config(BY_NAME["register"], params, overrides or [])
    assert isinstance(config, RegisterConfig)
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        page = make_report(config.report, open_root(run, Path(scratch)))
    write_atomic(output, page)
    typer.echo(f"{output}: {len(page) / 1e6:.1f} MB")
