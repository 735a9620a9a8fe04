"""What both gates do with their findings: keep the report, log it, and refuse or let pass."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geovr.artifacts import Artifact, GateReport, start_output
from geovr.config import StageConfig, digest
from geovr.errors import GateRefused
from geovr.quality.looks import Picture
from geovr.quality.suites import Expectation, Finding, Verdict
from geovr.storage import Store, write_atomic

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("geovr")


def run_gate(
    stage: str,
    config: StageConfig,
    suite: list[Expectation],
    tables: dict[str, pd.DataFrame],
    inputs: dict[str, Artifact],
    output: Path,
    pictures: Sequence[Picture] = (),
) -> GateReport:
    """Run a gate's suite.

    The report is in the store and in MLflow before a refusal is raised: a failed pipeline step
    hands nothing on.

    Raises:
        GateRefused: naming the failed expectations, their first rows, and the report.
    """
    from geovr import tracking
    from geovr.quality.expectations import run_suite

    directory = start_output(output)
    # every run adds pages with its time in their names
    shutil.rmtree(directory / "data_docs", ignore_errors=True)
    findings = run_suite(stage, suite, tables, directory / "data_docs")
    counts = {name: len(frame) for name, frame in tables.items() if name != "whole"}
    refusing = any(not f.success and f.expectation.severity == "critical" for f in findings)
    verdict = Verdict(stage=stage, passed=not refusing, findings=tuple(findings), counts=counts)
    content = verdict.model_dump(mode="json")
    text, page = verdict.model_dump_json(indent=2) + "\n", _html(verdict, pictures)
    write_atomic(directory / "report.json", text.encode())
    write_atomic(directory / "report.html", page.encode())
    store = Store.open(config.store)
    key = digest({"inputs": {n: a.digest for n, a in inputs.items()}, "verdict": content})[:24]
    prefix = f"reports/{stage}/{key}"
    store.put(f"{prefix}/report.json", text.encode())
    store.put(f"{prefix}/report.html", page.encode())
    uri = store.uri_of(f"{prefix}/report.html")
    tags = {"stage": stage, "verdict": "passed" if verdict.passed else "refused"}
    with tracking.run(config.experiment, name=f"{stage}-{key[:8]}", key=key, tags=tags) as run:
        run.log_metrics({f"gate/{name}": float(n) for name, n in _totals(verdict).items()})
        run.log_artifact(directory / "report.html", stage)
        run.log_artifact(directory / "report.json", stage)
    report = GateReport.commit(
        directory,
        inputs={name: artifact.digest for name, artifact in inputs.items()},
        config=config.model_dump(mode="json"),
        counts=_totals(verdict),
        store=store.uri,
        content=content,
        details={"passed": verdict.passed, "report_uri": uri},
    )
    for finding in findings:
        if not finding.success and finding not in verdict.refusals:
            log.warning("%s: %s: %s", stage, finding.expectation.severity, _line(finding))
    log.info("%s: %s; report %s", stage, "passed" if verdict.passed else "refused", uri)
    if not verdict.passed:
        reasons = "\n".join(f"  {_line(finding)}" for finding in verdict.refusals)
        remedy = f"correct what is named, or change {stage}.thresholds on purpose"
        raise GateRefused(f"{stage} refused:\n{reasons}\n  {remedy}\n  report: {uri}")
    return report


def _totals(verdict: Verdict) -> dict[str, int]:
    failed = [f.expectation.severity for f in verdict.findings if not f.success]
    return {
        "expectations": len(verdict.findings),
        "held": len(verdict.findings) - len(failed),
        "failed_critical": failed.count("critical"),
        "failed_warning": failed.count("warning"),
    }


def _line(finding: Finding) -> str:
    rows = ", ".join(finding.rows[:5])
    more = f" and {finding.unexpected - 5} more" if finding.unexpected > 5 else ""
    return f"{finding.expectation.why} Fails for {rows}{more}. {finding.observed}".rstrip()


def _html(verdict: Verdict, pictures: Sequence[Picture]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=lambda _: True
    )
    page: str = environment.get_template("report.html.j2").render(
        verdict=verdict, pictures=pictures
    )
    return page
