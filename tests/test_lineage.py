"""Licences: read from model cards, carried from teacher and base model to the registry's tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from geovr.errors import UserError
from geovr.lineage import (
    COMMERCIAL_TAG,
    Part,
    barred_from_commerce,
    base_model,
    model_card,
    tags,
    teacher,
)

FREE = {"name": "da3/DA3-BASE", "license": "Apache-2.0", "commercial_use": True}
NOT_FREE = {"name": "vggt/VGGT-1B", "license": "CC-BY-NC-4.0", "commercial_use": False}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "Qwen3-VL-2B"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    "card, license, allowed",
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\n# Model\n", "apache-2.0", True),
        ("---\nlicense: cc-by-nc-4.0\n---\n", "cc-by-nc-4.0", False),
        ("---\nlicense: other\n---\n", "other", None),
        ("# Model\nlicense: apache-2.0\n", "unknown", None),
        ("---\nlicense: [\n---\n", "unknown", None),
        ("---\n- license\n---\n", "unknown", None),
        (None, "unknown", None),
    ],
)
def test_the_base_models_licence_is_what_its_card_says(
    directory: Path, card: str | None, license: str, allowed: bool | None
) -> None:
    if card is not None:
        (directory / "README.md").write_text(card)
    (part,) = base_model(directory, None)
    assert (part.role, part.name) == ("base model", "Qwen3-VL-2B")
    assert (part.license, part.commercial_use) == (license, allowed)


def test_a_licence_may_be_declared_but_not_against_the_card(directory: Path) -> None:
    (part,) = base_model(directory, "Apache-2.0")
    assert part.commercial_use is True
    (directory / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    assert base_model(directory, "CC-BY-NC-4.0")[0].commercial_use is False
    with pytest.raises(UserError, match=r"Apache-2.0, but .*README.md says cc-by-nc-4.0"):
        base_model(directory, "Apache-2.0")


def test_a_teacher_counts_with_all_its_parts() -> None:
    both = {"name": "both", "license": "a AND b", "commercial_use": False,
            "parts": [NOT_FREE | {"parts": []}, FREE]}  # fmt: skip
    assert [part.name for part in teacher(both)] == ["vggt/VGGT-1B", "da3/DA3-BASE"]
    assert teacher(None)[0].commercial_use is None


@pytest.mark.parametrize(
    "allowed, verdict",
    [
        ([True, True], "true"),
        ([True, False], "false"),
        ([None, False], "false"),
        ([True, None], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_strictest_part_decides(allowed: list[bool | None], verdict: str) -> None:
    parts = [Part(role="teacher", name="t", license="l", commercial_use=a) for a in allowed]
    told = tags(parts)
    assert told[COMMERCIAL_TAG] == verdict
    assert (barred_from_commerce(told) is None) == (verdict == "true")


def test_the_reason_names_the_part_and_its_licence() -> None:
    told = tags([*teacher(FREE), *teacher(NOT_FREE), *teacher(None)])
    assert barred_from_commerce(told) == (
        "teacher vggt/VGGT-1B (CC-BY-NC-4.0) does not allow it; teacher unknown (unknown) is not"
        " known to allow it"
    )
    assert barred_from_commerce({}) == "its lineage is not recorded"


def test_a_model_trained_here_brings_its_lineage_along(directory: Path) -> None:
    """Training on from an export must not wash the licence of its teacher off."""
    parts = [*base_model(directory, "apache-2.0"), *teacher(NOT_FREE)]
    (directory / "README.md").write_text(model_card(parts))
    assert base_model(directory, None) == parts
    for spoilt in ("geovr_lineage: []", "geovr_lineage: yes", "geovr_lineage: [{role: x}]"):
        (directory / "README.md").write_text(f"---\nlicense: apache-2.0\n{spoilt}\n---\n")
        assert base_model(directory, None)[0].commercial_use is None
