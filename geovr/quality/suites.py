"""What an expectation is here: a line of data that Great Expectations runs and people read.

Free of heavy imports, so that a suite's digest can be taken where a pipeline is compiled.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from geovr.config import digest

Severity = Literal["critical", "warning", "info"]


class Expectation(BaseModel):
    """One expectation on one table.

    Attributes:
        table: name of the frame it is about.
        type: of Great Expectations, in snake case.
        kwargs: of that type.
        why: a sentence for people.
        severity: only a critical one refuses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    type: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    why: str
    severity: Severity = "critical"


class Finding(BaseModel):
    """What became of an expectation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expectation: Expectation
    success: bool
    unexpected: int
    rows: tuple[str, ...]
    """Names of rows that fail, at most MAX_ROWS of them."""
    observed: str


class Verdict(BaseModel):
    """What a gate says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    passed: bool
    findings: tuple[Finding, ...]
    counts: dict[str, int]

    @property
    def refusals(self) -> list[Finding]:
        """The failed critical ones."""
        return [f for f in self.findings if not f.success and f.expectation.severity == "critical"]


MAX_ROWS = 20


def between(
    table: str,
    column: str,
    low: float | None,
    high: float | None,
    why: str,
    severity: Severity = "critical",
) -> Expectation:
    """Every value of a column lies in a closed range; a missing value doesn't."""
    return Expectation(
        table=table,
        type="expect_column_values_to_be_between",
        kwargs={"column": column, "min_value": low, "max_value": high},
        why=why,
        severity=severity,
    )


def true(table: str, column: str, why: str, severity: Severity = "critical") -> Expectation:
    """Every value of a column is True."""
    return Expectation(
        table=table,
        type="expect_column_values_to_be_in_set",
        kwargs={"column": column, "value_set": [True]},
        why=why,
        severity=severity,
    )


def clean(
    table: str, column: str, why: str, severity: Severity = "critical", mostly: float = 1.0
) -> Expectation:
    """A column that holds each row's fault in words holds none, or few enough."""
    return Expectation(
        table=table,
        type="expect_column_values_to_be_in_set",
        kwargs={"column": column, "value_set": [""], "mostly": mostly},
        why=why,
        severity=severity,
    )


def suite_digest(stage: str) -> str:
    """Digest of a gate's expectations with default thresholds; a pipeline's cache key."""
    module = importlib.import_module(f"geovr.quality.{stage.removeprefix('check_')}")
    config = module.THRESHOLDS()
    return digest([e.model_dump(mode="json") for e in module.suite(config)])[:16]
