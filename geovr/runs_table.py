"""Runs side by side, as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geovr.tracking_runs import Told

Rows = list[list[str]]
_BOUNDS = ("_low", "_high")
_UNTOLD = "-"


def metric(metrics: Mapping[str, float], name: str) -> str:
    """A metric, with its interval where it has one."""
    if name not in metrics:
        return ""
    low, high = (metrics.get(name + bound) for bound in _BOUNDS)
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return f"{metrics[name]:.4g}{interval}" if not interval else f"{metrics[name]:.3f}{interval}"


def differing(runs: Sequence[Told]) -> dict[str, list[str | None]]:
    """Parameters that are not the same in all runs: name -> value in each, None where untold."""
    names = sorted({name for run in runs for name in run.params})
    values = {name: [run.params.get(name) for run in runs] for name in names}
    return {name: told for name, told in values.items() if len(set(told)) > 1}


def sections(runs: Sequence[Told], *, all_params: bool) -> list[tuple[str, Rows]]:
    """What is shown of some runs: title, rows with a cell for each run.

    Args:
        runs: in the order of the cells.
        all_params: also those that are the same in all of them.
    """
    told: list[tuple[str, Rows]] = [("run", _heads(runs))]
    if all_params:
        names = sorted({name for run in runs for name in run.params})
        params = [[name, *(run.params.get(name, _UNTOLD) for run in runs)] for name in names]
        told.append(("parameter", params))
    else:
        apart = differing(runs)
        params = [[name, *(_UNTOLD if v is None else v for v in vs)] for name, vs in apart.items()]
        told.append(("parameter that differs", params))
    every = {name for run in runs for name in run.metrics}
    bounds = {name + bound for name in every for bound in _BOUNDS}
    metrics = [
        [name, *(metric(run.metrics, name) or _UNTOLD for run in runs)]
        for name in sorted(every - bounds)
    ]
    told.append(("metric [95 %]", metrics))
    data = sorted({(given.context, given.name) for run in runs for given in run.datasets})
    rows = [
        [f"{name} ({context})", *(_digest(run, name, context) for run in runs)]
        for context, name in data
    ]
    told.append(("data", rows))
    return [(title, rows) for title, rows in told if rows]


def _heads(runs: Sequence[Told]) -> Rows:
    def row(name: str, values: Sequence[str | None]) -> list[str]:
        return [name, *(value or _UNTOLD for value in values)]

    took = [None if run.seconds is None else f"{run.seconds:.0f} s" for run in runs]
    return [
        row("id", [run.id for run in runs]),
        row("name", [run.name for run in runs]),
        row("experiment", [run.experiment for run in runs]),
        row("status", [run.status for run in runs]),
        row("began (UTC)", [f"{run.began:%Y-%m-%d %H:%M:%S}" for run in runs]),
        row("took", took),
        row("code", [run.tags.get("git_sha", "")[:12] for run in runs]),
        row("checkpoint", [run.tags.get("geovr.checkpoint", "")[:12] for run in runs]),
        row("training run", [run.tags.get("geovr.training_run") for run in runs]),
        row("evaluation run", [run.tags.get("geovr.evaluation_run") for run in runs]),
        row("below", [run.parent for run in runs]),
        row("versions", [", ".join(run.versions) for run in runs]),
    ]


def _digest(run: Told, name: str, context: str) -> str:
    found = [d.digest[:12] for d in run.datasets if (d.name, d.context) == (name, context)]
    return ", ".join(found) or _UNTOLD
