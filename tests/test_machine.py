"""What a process may use is what its container lets it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geovr import machine


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    return tmp_path


@pytest.mark.parametrize(
    ("told", "cores"),
    [("250000 100000\n", 2), ("50000 100000", 1), ("max 100000", 12), ("9900000 100000", 12)],
)
def test_a_quota_lowers_the_cores(group: Path, told: str, cores: int) -> None:
    assert machine.usable_cores() == 12
    (group / "cpu.max").write_text(told)
    assert machine.usable_cores() == cores


def test_a_limit_lowers_the_memory(group: Path) -> None:
    total = machine.usable_memory()
    assert total > 1 << 28
    (group / "memory.max").write_text("max\n")
    assert machine.usable_memory() == total
    (group / "memory.max").write_text(f"{1 << 28}\n")
    assert machine.usable_memory() == 1 << 28
