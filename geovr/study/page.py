"""What `geovr study report` writes: tables, numbers, charts and the page of a study."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from markupsafe import Markup

from geovr import report as run_report
from geovr.evaluation.comparison import MEAN
from geovr.progress import duration
from geovr.report.charts import difference_bar
from geovr.storage import write_atomic
from geovr.study import charts, paint
from geovr.study.curves import SMOOTHING, learning_curves
from geovr.study.results import StudyResults
from geovr.study.summary import Summary
from geovr.study.table import Row, grids, label_of, markdown, notes

_HERE = Path(__file__).parent
FILES = ("table.md", "results.json", "study.html", "curves.svg", "gains.svg")
"""What a report is; a chart that would show nothing isn't written."""


def write_report(results: StudyResults, summary: Summary, directory: Path) -> list[Path]:
    """Write a study's report. Equal results give equal bytes.

    Returns:
        the files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    curves = charts.curves_drawing(learning_curves(results), summary)
    gains = charts.gains_drawing(summary)
    made = {
        "table.md": markdown(summary).encode(),
        "results.json": (summary.model_dump_json(indent=1) + "\n").encode(),
        "study.html": make_page(results, summary),
        "curves.svg": paint.standalone(curves) if curves else None,
        "gains.svg": paint.standalone(gains) if gains else None,
    }
    written = []
    for name in FILES:
        data = made[name]
        if data is None:
            # one of an earlier report is not this report's
            (directory / name).unlink(missing_ok=True)
            continue
        write_atomic(directory / name, data)
        written.append(directory / name)
    return written


def make_page(results: StudyResults, summary: Summary) -> bytes:
    """The page of a study, one HTML file that needs nothing else."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=lambda _: True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = partial(duration, digits=1)
    classes = paint.arm_classes(summary)
    gains = charts.gains_drawing(summary)
    panels = {
        term: paint.wrapped(charts.panel(term, curves, classes), "chart")
        for term, curves in learning_curves(results).items()
    }
    page = environment.get_template("study.html.j2").render(
        css=(Path(run_report.__file__).parent / "style.css").read_text(),
        own_css=paint.style(),
        study=results.study,
        summary=summary,
        mean=MEAN,
        grids=grids(summary),
        bars=_bars(summary),
        gains=paint.wrapped(gains, "wide") if gains else None,
        panels=panels,
        smoothing=SMOOTHING,
        classes=classes,
        label_of=label_of,
        best=_best(summary),
        notes=notes(summary),
        runs=sorted(results.runs, key=lambda run: (_place(results, run.arm), run.seed)),
    )
    return page.encode()


def _place(results: StudyResults, arm: str) -> int:
    return [known.name for known in results.study.arms].index(arm)


def _bars(summary: Summary) -> list[Markup]:
    """A bar for each arm's difference in the main table, all of one scale."""
    found = {a.name: g.interval for a in summary.arms if (g := a.lines[MEAN].gap) is not None}
    ends = [abs(end) for interval in found.values() for end in (interval.low, interval.high)]
    reach = max([0.02, *(end for end in ends if end == end)])
    return [
        difference_bar(label_of(arm), found[arm.name], found[arm.name].verdict, reach)
        if arm.name in found and found[arm.name].low == found[arm.name].low
        else Markup("")
        for arm in summary.arms
    ]


def _best(summary: Summary) -> Row | None:
    """The arm whose mean is farthest above the reference."""
    rows = [
        (gap.interval.mean, row)
        for arm, row in zip(summary.arms, grids(summary)[0].rows, strict=False)
        if (gap := arm.lines[MEAN].gap) is not None
    ]
    return max(rows, key=lambda pair: pair[0])[1] if rows else None
