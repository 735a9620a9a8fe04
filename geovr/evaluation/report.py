"""From answers to a report: per-kind scores beside the baselines, with intervals, and its table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from geovr.evaluation.baselines import best_constant, most_frequent
from geovr.evaluation.comparison import FLOW, MEAN, Mean, Scoring
from geovr.evaluation.kinds import CONTROL
from geovr.evaluation.statistics import Interval, SceneBootstrap, Verdict

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

BINNED_NOTE = (
    "Numbers are answered as one token, the nearest of 121 values in 8 % steps, decoded by maximum"
    " expected score."
)


class KindScore(BaseModel):
    """One line of the table; scores are shares from 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    items: int
    score: Interval
    best_constant: float
    most_frequent: float
    blanked: float | None
    shuffled: float | None = None
    nll: float | None
    """None where the backend doesn't tell it."""
    over_constant: Interval
    """Difference to the best constant, item by item."""

    @property
    def verdict(self) -> Verdict:
        """Whether the model is above the best constant."""
        return self.over_constant.verdict


class Scores(BaseModel):
    """Everything that was scored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark_digest: str
    items: int
    unparsed: int
    """Answers in which nothing could be read; by the flow's own scoring all answers in words."""
    kinds: tuple[KindScore, ...]
    headline: KindScore
    """Mean over the kinds that geovr.evaluation.kinds.headline names."""
    headline_kinds: tuple[str, ...]
    headline_name: str = "geometric kinds"
    """What those kinds are called together."""
    note: str | None
    published: int | None = None
    """Questions of the benchmark, those included that ingest put aside."""
    scoring: str = FLOW.name
    """flow, or the profile by whose rules answers were scored."""

    @property
    def coverage_told(self) -> str:
        """How many of the benchmark's questions were answered, in words."""
        return f"{self.items:,} of {self.published or self.items:,} questions answered"


def baseline_answers(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, list[str]]:
    """Per baseline, its answer to every test question.

    A kind without training questions gets its constants from the test questions themselves,
    which only raises the bar.
    """
    names = {"best_constant": {}, "most_frequent": {}}  # type: dict[str, dict[str, str]]
    for kind, rows in test.groupby("kind"):
        known = train[train["kind"] == kind]
        answers = [str(a) for a in (known if len(known) else rows)["answer"]]
        numeric = rows["options"].map(lambda options: options is None or len(options) == 0).all()
        names["best_constant"][str(kind)] = best_constant(answers, bool(numeric))
        names["most_frequent"][str(kind)] = most_frequent(answers)
    return {name: [by_kind[str(kind)] for kind in test["kind"]] for name, by_kind in names.items()}


def make_scores(
    train: pd.DataFrame,
    test: pd.DataFrame,
    scenes: np.ndarray,
    answers: dict[str, list[str]],
    nll: np.ndarray,
    *,
    benchmark_digest: str,
    binned: bool,
    resamples: int,
    seed: int,
    published: int | None = None,
    scoring: Scoring = FLOW,
    extra: Sequence[Mapping[str, Any]] | None = None,
) -> Scores:
    """Score the model's answers and the baselines'.

    Args:
        train: training questions, from which the constants are learnt.
        test: the benchmark's questions.
        scenes: scene of each test question.
        answers: texts of `model` and, where they were run, of `blanked` and `shuffled`.
        nll: of the recorded answers; NaN where it isn't known.
        benchmark_digest: of the benchmark.
        binned: whether numbers were decoded by expected score.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        published: questions of the benchmark.
        scoring: by which answers are scored, the baselines' too.
        extra: what else the benchmark's records hold, for scorers that look at it.
    """
    rows = [
        {name: row.get(name) for name in ("question", "options", "answer")}
        | {"id": place, "kind": str(row["kind"]), "scene": scene, "extra": more}
        for place, (row, scene, more) in enumerate(
            zip(test.to_dict("records"), scenes, extra or [{}] * len(test), strict=True)
        )
    ]
    for row in rows:  # of a parquet file they are an array, whose truth is no question to ask
        row["options"] = None if row["options"] is None else list(row["options"]) or None
    answered = answers | baseline_answers(train, test)
    asked = {
        name: [row | {"text": text} for row, text in zip(rows, texts, strict=True)]
        for name, texts in answered.items()
    }
    scored = {name: np.asarray(list(map(scoring.score, told))) for name, told in asked.items()}
    bootstrap = SceneBootstrap(scenes, resamples, seed)

    def line(name: str, mean: Mean) -> KindScore:
        difference = scored["model"] - scored["best_constant"]
        return KindScore(
            kind=name,
            items=int(mean.inside.sum()),
            score=bootstrap.groups_mean(scored["model"], mean.masks, mean.weights),
            best_constant=mean.of(scored["best_constant"]),
            most_frequent=mean.of(scored["most_frequent"]),
            blanked=mean.of(scored["blanked"]) if "blanked" in scored else None,
            shuffled=mean.of(scored["shuffled"]) if "shuffled" in scored else None,
            nll=None if np.isnan(nll[mean.inside]).any() else float(nll[mean.inside].mean()),
            over_constant=bootstrap.groups_mean(difference, mean.masks, mean.weights),
        )

    lines = scoring.lines(asked["model"])
    head = scoring.headline(asked["model"])
    kinds = [name for name in lines if name != MEAN]
    order = sorted(kinds, key=lambda kind: (kind in CONTROL, kind not in head.kinds, kind))
    return Scores(
        benchmark_digest=benchmark_digest,
        items=len(test),
        unparsed=sum(not scoring.reads(row) for row in asked["model"]),
        kinds=tuple(line(kind, lines[kind]) for kind in order),
        headline=line(MEAN, lines[MEAN]),
        headline_kinds=head.kinds,
        headline_name=head.name,
        note=" ".join(_notes(binned, scoring, asked["model"])) or None,
        published=published,
        scoring=scoring.name,
    )


def _notes(binned: bool, scoring: Scoring, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if binned:
        yield BINNED_NOTE
    if scoring is not FLOW:
        yield f"Scored by the profile {scoring.name} of the benchmark (docs/scoring.md)."
    stops = scoring.stops(rows)
    if stops:
        yield f"Upstream's own code ends on these answers ({stops}); the mean is of what there is."


def _cells(line: KindScore) -> list[str]:
    def interval(value: Interval, sign: str = "") -> str:
        return f"{100 * value.mean:{sign}.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"

    return [
        line.kind,
        str(line.items),
        interval(line.score),
        f"{100 * line.best_constant:.1f}",
        f"{100 * line.most_frequent:.1f}",
        *("" if share is None else f"{100 * share:.1f}" for share in (line.blanked, line.shuffled)),
        interval(line.over_constant, "+"),
        line.verdict,
    ]


LEGEND = (
    "constant: the answer that scores best on the training questions of the kind; frequent: the one"
    " given most often there; blanked: the model with the video blanked; shuffled: with its frames"
    " in a random order."
)
HEADINGS = (
    "kind",
    "n",
    "score [95 %]",
    "constant",
    "frequent",
    "blanked",
    "shuffled",
    "over constant [95 %]",
    "verdict",
)


def table_lines(scores: Scores) -> list[list[str]]:
    """Cells of the table: the mean first, then each kind."""
    lines = [_cells(scores.headline), *(_cells(line) for line in scores.kinds)]
    lines[0][0] = f"MEAN of {len(scores.headline_kinds)} {scores.headline_name}"
    for cells in lines[1:]:
        if cells[0] in CONTROL:
            cells[0] += " (control)"
        elif cells[0] not in scores.headline_kinds:
            cells[0] += " (not in the mean)"
    return lines


def render_table(scores: Scores) -> Table:
    """The table for a terminal."""
    from rich.table import Table

    table = Table(
        title="Scores on held-out scenes, in percent",
        caption=f"{scores.coverage_told}. {LEGEND} {scores.note or ''}",
    )
    for heading in HEADINGS:
        justify: Literal["left", "right"] = "left" if heading in ("kind", "verdict") else "right"
        table.add_column(heading, justify=justify, no_wrap=heading != "kind")
    for number, cells in enumerate(table_lines(scores)):
        table.add_row(*cells, style="bold" if number == 0 else None, end_section=number == 0)
    return table


def render_markdown(scores: Scores) -> str:
    """The table as Markdown."""
    rows = [list(HEADINGS), ["---"] * len(HEADINGS), *table_lines(scores)]
    told = f"{scores.coverage_told}. {LEGEND}"
    text = told + "\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"
    return text + (f"\n{scores.note}\n" if scores.note else "")


def metrics(scores: Scores) -> dict[str, float]:
    """Flat numbers for a tracker, under the names that docs/metrics.md promises."""
    head = scores.headline
    flat = {
        "eval/unparsed": float(scores.unparsed),
        "eval/coverage": scores.items / (scores.published or scores.items),
    }
    for name, line in (("mean", head), *((metric_name(line.kind), line) for line in scores.kinds)):
        flat |= {
            f"eval/{name}": line.score.mean,
            f"eval/{name}_low": line.score.low,
            f"eval/{name}_high": line.score.high,
            f"eval/{name}_n": float(line.items),
            f"eval/{name}_over_constant": line.over_constant.mean,
            f"eval/{name}_over_constant_low": line.over_constant.low,
            f"eval/{name}_over_constant_high": line.over_constant.high,
        }
        if line.nll is not None:
            flat[f"eval/{name}_nll"] = line.nll
        baselines = {"blanked": line.blanked, "shuffled": line.shuffled}
        flat |= {f"eval/{name}_{b}": share for b, share in baselines.items() if share is not None}
    return flat


def metric_name(kind: str) -> str:
    """A kind as trackers take it: letters, digits, `_`, `-`, `.` and single spaces.

    Benchmarks name kinds as they like, such as "Positional Relationship (Cam.–Obj.)".
    """
    words = re.sub(r"[^A-Za-z0-9_.-]+", " ", kind)
    return words.strip(" .") or "unnamed"
