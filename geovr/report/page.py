"""The page: all parts of a run as one HTML file that needs nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from geovr.data.clips import read_clip
from geovr.errors import StoreError
from geovr.evaluation.kinds import CONTROL
from geovr.evaluation.report import LEGEND, Scores
from geovr.inspection.loading import row_of
from geovr.inspection.pictures import depth_colours
from geovr.progress import duration
from geovr.report import charts, images
from geovr.report.answers import scored_answers, worst_answers, worst_clips
from geovr.report.champion import against_champion
from geovr.report.config import ReportConfig
from geovr.report.curves import loss_curves
from geovr.report.flow import flow_rows
from geovr.report.gather import Part, Run
from geovr.report.geometry import ALIGNED, brief, make_geometry
from geovr.report.panels import make_panels

_HERE = Path(__file__).parent


def make_page(run: Run, config: ReportConfig) -> bytes:
    """The report of a run. Equal runs and configs give equal bytes."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=lambda _: True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": partial(duration, digits=1),
        "percent": percent,
        "signed": signed,
        "breakable": breakable,
        "brief": brief,
    }
    rows = flow_rows(run)
    scores = _scores(run)
    answers, no_answers = scored_answers(run)
    page = environment.get_template("page.html.j2").render(
        css=(_HERE / "style.css").read_text(),
        gradient=_gradient(),
        charts=charts,
        config=config,
        run=run,
        title=_title(run),
        rows=rows,
        longest=max((row.seconds or 0.0 for row in rows), default=0.0),
        total=sum(row.seconds or 0.0 for row in rows),
        began=next((row.began for row in rows if row.began), None),
        gates=[run.parts["check_clips"], run.parts["check_targets"]],
        curves=loss_curves(run, config.smoothing),
        scores=scores,
        control=CONTROL,
        legend=LEGEND,
        geometry=make_geometry(run),
        aligned=ALIGNED,
        panels=make_panels(run, config),
        champion=against_champion(run),
        worst=[(one, _stills(run, one.clip_id, 1)) for one in worst_answers(answers, config)],
        worst_clips=[
            (one, _stills(run, one.clip_id, config.frames)) for one in worst_clips(answers, config)
        ],
        no_answers=no_answers,
        facts=_facts(run),
        quarantine=_quarantine(run, config.quarantine),
    )
    return page.encode()


def _title(run: Run) -> str:
    if run.decision is not None:
        return f"{run.decision['name']} version {run.decision['version']}"
    for part in (run.parts["evaluate"], run.parts["train"]):
        if part.artifact is not None:
            experiment = part.artifact.manifest.config.get("experiment", "geovr")
            return f"{experiment}, not registered"
    return "not registered"


def _scores(run: Run) -> Scores | None:
    if run.evaluation is None:
        return None
    return Scores.model_validate_json((run.evaluation.directory / "report.json").read_text())


def _facts(run: Run) -> dict[str, str]:
    """What the run was made by and from."""
    newest = run.evaluation or run.checkpoint
    if newest is None:
        return {}
    told = {"code": newest.manifest.git_sha, "geovr": newest.manifest.package_version}
    if run.checkpoint is not None:
        details = run.checkpoint.manifest.details
        told["MLflow run"] = str(details.get("mlflow_run_id"))
        teacher = details.get("teacher") or {}
        told["teacher"] = f"{teacher.get('name')}, licence {teacher.get('license')}"
        told["checkpoint"] = run.checkpoint.digest
        resumed = details.get("resumed_from")
        if resumed:
            told["went on from"] = f"training {resumed['key']}, step {resumed['step']}"
    if run.evaluation is not None:
        told["benchmark"] = str(run.evaluation.manifest.details.get("benchmark_digest"))
    return told


def _quarantine(run: Run, most: int) -> list[dict[str, Any]]:
    """For each ClipSet: what was put aside, at most so many by name."""
    told = []
    for name, part in (("", run.parts["ingest"]), ("of the benchmark", run.benchmark)):
        if part is None:
            continue
        clips = run.asked if part is run.benchmark else run.clips
        rows = clips.quarantine.to_dict("records") if clips is not None else []
        told.append({"name": name, "count": len(rows), "rows": rows[:most], "missing": _lost(part)})
    return told


def _lost(part: Part) -> str | None:
    return part.missing if part.artifact is None else None


def _stills(run: Run, clip_id: str, count: int) -> list[tuple[float, str]]:
    """Times and pictures of some frames of a clip, of one the middle; none where it is lost."""
    assert run.asked is not None  # or there would be no answer
    try:
        clip = read_clip(run.asked.store, row_of(run.asked.index, clip_id, "ClipSet"))
    except StoreError:
        return []
    last = len(clip.frames_THWC) - 1
    places = np.linspace(0, last, min(count, last + 1)).round().astype(int)
    return [
        (float(clip.timestamps_T[place]), images.photo(clip.frames_THWC[place]))
        for place in (places if count > 1 else [(last + 1) // 2])
    ]


def _gradient() -> str:
    """The colours of depth, near to far, as a CSS gradient."""
    colours = depth_colours(np.linspace(0, 1, 12)[None], 1.0)[0]
    return ", ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours)


def percent(share: float) -> str:
    """A share of one in percent, as in the table on the terminal."""
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    """A difference in percent points."""
    return f"{100 * share:+.1f}"


def breakable(name: str) -> Markup:
    """A name that may break after its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))
