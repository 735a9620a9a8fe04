"""Runs suites through Great Expectations, and reads its results. Its only user.

Its own success is False for a failed warning too, so the verdict is ours: only failed critical
expectations refuse.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovr.quality.suites import MAX_ROWS, Expectation, Finding

if TYPE_CHECKING:
    import pandas as pd


_SITE = "geovr"


def run_suite(
    name: str, suite: list[Expectation], tables: dict[str, pd.DataFrame], data_docs: Path
) -> list[Finding]:
    """Run a suite, write its Data Docs, and give a finding per expectation, in order.

    Args:
        name: of the gate.
        suite: the expectations.
        tables: a frame per table that the suite names, each with a `name` column.
        data_docs: directory for Great Expectations' own site.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # it speaks while it is imported already
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # this one module sets a level of its own
    logging.getLogger(ProgressBarsConfig.__module__).setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.add_data_docs_site(
        site_name=_SITE,
        site_config={
            "class_name": "SiteBuilder",
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(data_docs.resolve()),
            },
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    source = context.data_sources.add_pandas(name)
    found: dict[int, Finding] = {}
    for table in dict.fromkeys(expectation.table for expectation in suite):
        members = [(n, e) for n, e in enumerate(suite) if e.table == table]
        asset = source.add_dataframe_asset(table)
        batch = asset.add_batch_definition_whole_dataframe(table)
        gx_suite = context.suites.add(
            gx.ExpectationSuite(
                name=f"{name}.{table}",
                expectations=[_expectation(e, number) for number, e in members],
            )
        )
        validation = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{name}.{table}", data=batch, suite=gx_suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=f"{name}.{table}",
                validation_definitions=[validation],
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": ["name"],
                },
            )
        )
        result = checkpoint.run(batch_parameters={"dataframe": tables[table]})
        for validated in next(iter(result.run_results.values())).results:
            number = int(validated.expectation_config.meta["number"])
            found[number] = _finding(suite[number], validated, tables[table])
    # an ephemeral context has a site of its own too, in a temporary directory that would stay
    context.build_data_docs(site_names=[_SITE])
    return [found[number] for number in range(len(suite))]


def _expectation(expectation: Expectation, number: int) -> Any:
    from great_expectations.expectations.registry import get_expectation_impl

    kind = get_expectation_impl(expectation.type)
    meta = {"number": number, "why": expectation.why}
    return kind(**expectation.kwargs, severity=expectation.severity, meta=meta)


def _finding(expectation: Expectation, validated: Any, table: pd.DataFrame) -> Finding:
    result = validated.result or {}
    raised = (validated.exception_info or {}).get("exception_message")
    if raised or _raised(validated):
        message = str(raised or _raised(validated)).splitlines()[-1]
        raise RuntimeError(f"{expectation.type} on {expectation.table}: {message}")
    # a missing value fails as well: Great Expectations itself passes over it
    missing = [str(name) for name in table["name"][table[expectation.kwargs["column"]].isna()]]
    rows = [str(row["name"]) for row in result.get("unexpected_index_list") or []]
    return Finding(
        expectation=expectation,
        success=bool(validated.success) and not missing,
        unexpected=len(rows) + len(missing),
        rows=tuple([*missing, *rows][:MAX_ROWS]),
        observed=_observed(len(missing), result.get("partial_unexpected_list") or []),
    )


def _observed(missing: int, values: list[Any]) -> str:
    """A few of the values that fail; that a truth is False says nothing new."""
    kept = dict.fromkeys(str(value)[:160] for value in values if not isinstance(value, bool))
    parts = [f"{missing} values are missing"] if missing else []
    parts += [f"e.g. {', '.join(list(kept)[:3])}"] if kept else []
    return "; ".join(parts)


def _raised(validated: Any) -> str | None:
    """The message of an error inside Great Expectations, which it nests by metric."""
    for info in (validated.exception_info or {}).values():
        if isinstance(info, dict) and info.get("raised_exception"):
            return str(info.get("exception_message"))
    return None
