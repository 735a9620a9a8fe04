"""Some clips: their frames, the teacher's depth, the model's own, and both camera paths.

Shape suffixes: T frames.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from geovr.artifacts import ClipSet
from geovr.data.clips import Clip, read_clip
from geovr.errors import Interrupted, StoreError, UserError
from geovr.inspection.cloud import camera_centres
from geovr.inspection.inspect import errors
from geovr.inspection.loading import Geometry, Predictor, as_geometry, taught
from geovr.inspection.pictures import depth_colours
from geovr.report import images
from geovr.report.charts import plan
from geovr.report.config import ReportConfig
from geovr.report.gather import Run

log = logging.getLogger("geovr")

Speaker = Callable[[Clip], Geometry]


@dataclass(frozen=True)
class Shot:
    """One frame; depths are None where nobody says them."""

    time: float
    frame: str
    teacher: str | None
    model: str | None


@dataclass
class Panel:
    """One clip.

    Attributes:
        clip_id: its id.
        split: it belongs to.
        shots: frames in the order of time, with their depths.
        most: top of the depths' colour scale.
        unit: of depths and paths.
        plan: both camera paths from above; empty where nobody says one.
        numbers: how far model and teacher are apart.
        notes: what is missing, and in which scale lengths are.
    """

    clip_id: str
    split: str
    shots: list[Shot] = field(default_factory=list)
    most: float = 1.0
    unit: str = "m"
    plan: Markup = field(default_factory=Markup)
    numbers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class Panels:
    """All clips, and why the model says nothing where it doesn't."""

    clips: list[Panel] = field(default_factory=list)
    silent: str | None = None


def make_panels(run: Run, config: ReportConfig) -> Panels:
    """Some clips of the split that was evaluated, and some that were trained on."""
    if config.clips == 0:
        return Panels(silent="switched off by register.report.clips: 0")
    chosen = _choose(run, config.clips)
    if not chosen:
        return Panels(silent="the clips were not found")
    refusal = _why_not(run, config)
    models: dict[str, Speaker | str] = {}
    panels = Panels(silent=refusal)
    for clips, row in chosen:
        if clips.digest not in models:
            models[clips.digest] = refusal or _attempt(_speaker, run, clips)
        model = models[clips.digest]
        if isinstance(model, str):
            panels.silent = model
        made = _attempt(_panel, run, config, clips, row, None if isinstance(model, str) else model)
        if isinstance(made, str):
            made = Panel(str(row.clip_id), str(row.split), notes=[made])
        panels.clips.append(made)
    return panels


def _attempt(make: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, or why it failed in words: the page tells it instead of failing."""
    try:
        return make(*arguments)
    except Interrupted:
        raise
    except (UserError, StoreError) as error:
        return str(error)
    except Exception as error:
        log.warning("report: a panel failed: %s", error, exc_info=True)
        return f"it failed: {type(error).__name__}: {error}"


def _choose(run: Run, count: int) -> list[tuple[ClipSet, Any]]:
    """Clips and where they are from, evenly spread over both splits."""
    groups = []
    if run.asked is not None and run.evaluation is not None:
        split = run.evaluation.manifest.config.get("split", "test")
        groups.append((run.asked, split, -(-count // 2)))
    if run.clips is not None:
        groups.append((run.clips, "train", count - sum(group[2] for group in groups)))
    chosen = []
    for clips, split, number in groups:
        index = clips.index[(clips.index["split"] == split) & clips.index["moving"]]
        places = np.linspace(0, len(index) - 1, min(number, len(index))).round().astype(int)
        chosen += [(clips, row) for row in index.iloc[places].itertuples(index=False)]
    return chosen


def _why_not(run: Run, config: ReportConfig) -> str | None:
    """Why the model is not asked, None when it is."""
    if config.panels == "off":
        return "switched off by register.report.panels: off"
    if run.checkpoint is None:
        return "the checkpoint was not found"
    details = run.checkpoint.manifest.details
    if not details.get("heads_sha256"):
        return "the checkpoint holds no heads"
    if config.panels == "on":
        return None
    import torch

    if torch.cuda.is_available():
        return None
    names = [name for name in details["files"] if name.endswith(".safetensors")]
    sizes = [run.checkpoint.store.size(f"{details['prefix']}/{name}") or 0 for name in names]
    if sum(sizes) / 1e6 > config.panels_cpu_mb:
        return (
            f"there is no GPU here, and its weights of {sum(sizes) / 1e6:.0f} MB are more than"
            f" register.report.panels_cpu_mb: {config.panels_cpu_mb}; `geovr report` where there is"
            " a GPU shows it"
        )
    return None


def _speaker(run: Run, clips: ClipSet) -> Speaker:
    assert run.checkpoint is not None  # _why_not has looked
    return Predictor(run.checkpoint, clips)


def _teacher_says(run: Run, clip: Clip) -> tuple[Geometry | None, str | None]:
    """What the teacher says about a clip, and what there is to add."""
    if run.targets is None:
        return None, f"No teacher: {run.parts['extract_targets'].missing}."
    if clip.clip_id in set(run.targets.index["clip_id"]):
        return taught(run.targets, clip), None
    config = run.targets.manifest.config
    if config.get("teacher") != "oracle":
        return None, "The teacher was not asked about this split (extract_targets.splits)."
    # ground truth is read in no time, and a held-out clip is the one to look at
    from geovr.teachers.config import OracleConfig
    from geovr.teachers.make import make_teacher

    try:
        (said,) = make_teacher(OracleConfig.model_validate(config["oracle"]))([clip])
    except UserError as error:
        return None, f"The teacher was not asked about this split, and can't be now: {error}."
    return as_geometry(said, clip, "oracle"), "The oracle was asked about it for this page alone."


def _panel(
    run: Run, config: ReportConfig, clips: ClipSet, row: Any, model: Speaker | None
) -> Panel:
    clip = read_clip(clips.store, row)
    panel = Panel(str(row.clip_id), str(row.split))
    teacher, note = _teacher_says(run, clip)
    panel.notes += [note] if note else []
    said = model(clip) if model else None
    places = np.arange(len(clip.frames_THWC)) if said is None else said.places_T
    assert places is not None  # a Predictor says which frames it spoke about
    if teacher is not None:
        teacher = dataclasses.replace(
            teacher, depth_THW=teacher.depth_THW[places], pose_TK=teacher.pose_TK[places]
        )
    if teacher is not None and said is not None and teacher.depth_THW.shape == said.depth_THW.shape:
        panel.numbers = {name: str(value) for name, value in errors(said, teacher).items()}
    speakers = _in_one_unit(panel, teacher, said)
    _draw_shots(panel, clip, places, speakers, config.frames)
    if speakers:
        paths = [
            (name, camera_centres(one, from_first=True)[:, [0, 2]])
            for name, one in speakers.items()
        ]
        who = " and ".join("the teacher" if name == "teacher" else "the model" for name, _ in paths)
        panel.plan = plan(paths, panel.unit, f"camera path of {panel.clip_id} by {who}, from above")
    return panel


def _in_one_unit(
    panel: Panel, teacher: Geometry | None, said: Geometry | None
) -> dict[str, Geometry]:
    """Both with scales that make their lengths comparable; the panel says which."""
    if teacher is not None and said is not None:
        if teacher.metric_scale is None and said.metric_scale is not None:
            panel.notes.append("The teacher knows no metric scale here; both are in its unit.")
            said = dataclasses.replace(said, metric_scale=None)
        elif teacher.metric_scale is not None and said.metric_scale is None:
            panel.notes.append("The model says no scale; its lengths are by the teacher's.")
            said = dataclasses.replace(said, metric_scale=teacher.metric_scale)
    speakers = {"teacher": teacher, "model": said}
    known = {name: one for name, one in speakers.items() if one is not None}
    if any(one.metric_scale is None for one in known.values()):
        panel.unit = "units"
    return known


def _draw_shots(
    panel: Panel, clip: Clip, places: np.ndarray, speakers: dict[str, Geometry], count: int
) -> None:
    depths = {name: one.depth_THW * (one.metric_scale or 1.0) for name, one in speakers.items()}
    # the teacher's range, so that a wrong model is seen to be wrong
    first = next(iter(depths.values()), np.zeros(0))
    finite = first[np.isfinite(first)]
    panel.most = _round_up(float(np.quantile(finite, 0.98))) if len(finite) else 1.0

    def coloured(name: str, place: int) -> str | None:
        if name not in depths:
            return None
        return images.drawing(depth_colours(depths[name][place], panel.most))

    for place in np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int):
        panel.shots.append(
            Shot(
                time=float(clip.timestamps_T[places[place]]),
                frame=images.photo(clip.frames_THWC[places[place]]),
                teacher=coloured("teacher", place),
                model=coloured("model", place),
            )
        )


def _round_up(value: float) -> float:
    """The next number of two digits."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(round(np.ceil(value / power) * power, 10))
