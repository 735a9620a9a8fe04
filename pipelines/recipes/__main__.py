"""`python -m pipelines.recipes`: write every recipe's file."""

from __future__ import annotations

from pathlib import Path

from pipelines.recipes import RECIPES, render

if __name__ == "__main__":
    for name, recipe in RECIPES.items():
        Path(__file__).with_name(f"{name}.yaml").write_text(render(recipe))
    print(f"{len(RECIPES)} recipes written to {Path(__file__).parent.name}/")
