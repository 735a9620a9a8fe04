"""Recipes: complete parameter files that a checkout carries, found by their names."""

from __future__ import annotations

import difflib
from pathlib import Path

from geovr.errors import UserError

DIRECTORY = Path(__file__).parents[2] / "pipelines" / "recipes"


def find_recipe(name: str) -> Path:
    """The file of a recipe's name, or a parameter file's path as it is.

    Raises:
        UserError: naming similar recipes.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = recipes()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.3)
    like = f"; similar: {', '.join(near)}" if near else ""
    raise UserError(f"{name}: neither a file nor a recipe{like}; `geovr recipes` lists them")


def recipes() -> dict[str, Path]:
    """Name -> file."""
    return {path.stem: path for path in sorted(DIRECTORY.glob("*.yaml"))}


def summary(path: Path) -> str:
    """What a recipe's first lines say it is."""
    lines = path.read_text().splitlines()[:2]
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
