"""docs/scoring.md shows the very tables that the scorers are tested against.

`python -m tests.evaluation.test_scoring_docs` writes them there.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.vsi_cases import CHOICES, NUMBERS, OPTIONS, PAIRS, PROFILES, table

PAGE = Path(__file__).parents[2] / "docs/scoring.md"
TABLES = {"numbers": NUMBERS, "thresholds": PAIRS, "choices": CHOICES}


def filled(text: str) -> str:
    """The page with its tables as they should be."""
    for name, cases in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        assert re.search(pattern, text, re.DOTALL), name
        text = re.sub(
            pattern,
            lambda found, cases=cases: found[1] + table(cases) + found[2],
            text,
            flags=re.DOTALL,
        )
    return text


def test_the_tables_are_those_of_the_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == filled(text)
    assert ", ".join(OPTIONS) in text


def test_every_profile_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"\n| `{name}` | " in text for name in PROFILES)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
