"""A probe as one HTML file that needs nothing else: R² over layers, one line a model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from markupsafe import Markup

from geovr.probing.results import ModelProbe, Probe
from geovr.probing.table import LEGEND, blocks, scope
from geovr.probing.targets import TARGETS
from geovr.report import charts
from geovr.report.charts import Frame, ticks

COLOURS = 6
"""Lines of different colours in page.html.j2; further models begin again, dashed."""
_LOWEST = -0.1
"""R² below is drawn there: how bad a fit is that is worse than none says little."""


def make_page(probe: Probe) -> bytes:
    """The page; equal probes give equal bytes."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=lambda _: True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tables = blocks(probe)
    page = environment.get_template("page.html.j2").render(
        css=Path(charts.__file__).with_name("style.css").read_text(),
        scope=scope(probe),
        legend=LEGEND,
        models=[(model, line_class(place)) for place, model in enumerate(probe.models)],
        charts=[(TARGETS[table.name].title, layer_chart(probe, table.name)) for table in tables],
        tables=tables,
    )
    return page.encode()


def line_class(place: int) -> str:
    """Style of a model's line."""
    return f"line line{place % COLOURS}" + (" again" if place >= COLOURS else "")


def layer_chart(probe: Probe, target: str) -> Markup:
    """R² of a target over the layers with intervals; a ring is the final norm's output."""
    deepest = max(model.num_layers for model in probe.models)
    frame = Frame(42, 8, 308, 168, (-0.3, deepest + 1.3), (_LOWEST, 1.0))
    across = [tick for tick in ticks(0, deepest, 8) if tick == round(tick)]
    parts = [frame.axes(across, ticks(0, 1, 5), "layer")]
    told = []
    for place, model in enumerate(probe.models):
        parts.append(_line(frame, model, target, line_class(place), deepest))
        told.append(f"{model.name} {_best(model, target)}")
    return Markup('<svg class="chart" viewBox="0 0 360 216" role="img" aria-label="{}">{}</svg>'
                  ).format(f"R² of {target} over layers: {'; '.join(told)}",
                           Markup("").join(parts))  # fmt: skip


def _line(frame: Frame, model: ModelProbe, target: str, name: str, deepest: int) -> Markup:
    inside = [one for one in model.layers if one.layer <= model.num_layers]
    read = {one.layer: one.targets[target].r2 for one in inside if target in one.targets}
    values = np.asarray([max(span.value, _LOWEST) for span in read.values()])
    parts = [frame.line(np.asarray(list(read)), values, name)]
    normed = [
        (deepest + 1, one.targets[target].r2)
        for one in model.layers
        if one.layer > model.num_layers and target in one.targets
    ]
    for layer, span in [*read.items(), *normed]:
        if math.isnan(span.value):
            continue
        x = frame.at_x(layer)
        low, middle, high = (
            frame.at_y(max(value, _LOWEST)) for value in (span.low, span.value, span.high)
        )
        kind = "ring" if layer > deepest else "spot"
        parts.append(
            Markup('<path class="{name}" d="M{x:.1f} {:.1f}V{:.1f}"/>'
                   '<circle class="{name} {}" cx="{x:.1f}" cy="{:.1f}" r="3"/>').format(
                low, high, kind, middle, x=x, name=name)
        )  # fmt: skip
    return Markup("").join(parts)


def _best(model: ModelProbe, target: str) -> str:
    known = [
        (one.targets[target].r2.value, one.name)
        for one in model.layers
        if target in one.targets and not math.isnan(one.targets[target].r2.value)
    ]
    if not known:
        return "undefined"
    value, layer = max(known)
    return f"up to {value:.2f} at {layer}"
