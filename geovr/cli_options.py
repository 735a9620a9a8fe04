"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ParamsOption = Annotated[Path, typer.Option(help="File with one section per stage, or a recipe.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override, e.g. --set train.steps=100.")
]
OutputOption = Annotated[Path | None, typer.Option(help="Directory of the artifact to write.")]
