"""`geovr score` on what the flow wrote: the same scores, of the same answers."""

from __future__ import annotations

import json

import pytest

from tests.workspace import Workspace


def test_the_flows_own_answers_score_as_evaluate_scored_them(flown: Workspace) -> None:
    told = flown.inline("score", "artifacts/evaluation", "--json")
    found = json.loads(told[told.index("{") : told.rindex("}") + 1])
    report = json.loads((flown.root / "artifacts/evaluation/report.json").read_text())
    assert found["benchmark"] == "own" and list(found["profiles"]) == ["flow"]
    assert found["answers"] == report["items"] and found["expected"] == report["published"]
    flow = found["profiles"]["flow"]
    overall, headline = flow["overall"], report["headline"]["score"]
    assert overall["score"] == pytest.approx(headline["mean"], abs=1e-12)
    assert (overall["low"], overall["high"]) == pytest.approx((headline["low"], headline["high"]))
    assert len(flow["unparsed"]) == report["unparsed"]
    kinds = {line["kind"]: line["score"]["mean"] for line in report["kinds"]}
    assert overall["lines"] == pytest.approx(kinds)
