"""Runs as people look at them: what was told to the tracker, listed and put side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from geovr import tracking
from geovr.config import digest
from geovr.errors import UserError

TRAINING_RUN_TAG = "geovr.training_run"
_MOST_LOOKED_AT = 1000
"""Runs among which a name or an id's first letters are looked for."""


@dataclass(frozen=True)
class Dataset:
    """What a run read."""

    name: str
    digest: str
    context: str


@dataclass(frozen=True)
class Told:
    """A run.

    Attributes:
        id: of the run.
        name: of the run.
        experiment: that it is in.
        status: FINISHED, RUNNING, FAILED or KILLED.
        began: in UTC.
        seconds: it took; None while it runs.
        params, metrics, tags: as told; of metrics the last value.
        datasets: that it read.
        versions: of models that were registered from it or its training, with their aliases, as
            "geovr 3 (champion)".
    """

    id: str
    name: str
    experiment: str
    status: str
    began: datetime
    seconds: float | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    datasets: tuple[Dataset, ...]
    versions: tuple[str, ...]

    @property
    def parent(self) -> str | None:
        """The run that it is nested in."""
        return self.tags.get(tracking.PARENT_TAG)

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **{name: getattr(self, name) for name in ("id", "name", "experiment", "status")},
            "began": self.began.isoformat(),
            "seconds": self.seconds,
            "params": dict(self.params),
            "metrics": dict(self.metrics),
            "tags": {k: v for k, v in self.tags.items() if not k.startswith("mlflow.")},
            "parent": self.parent,
            "datasets": [vars(dataset) for dataset in self.datasets],
            "versions": list(self.versions),
        }


class Runs:
    """The runs of the tracking server."""

    def __init__(self) -> None:
        self._mlflow = tracking.client()
        self._names: dict[str, str] = {}
        self._aliases: dict[str, dict[str, list[str]]] = {}

    def listed(self, experiment: str | None, limit: int, sort: str | None) -> list[Told]:
        """Runs, newest first.

        Args:
            experiment: its name; those below it, as geovr/eval/.., count as well. None: all.
            limit: at most so many.
            sort: metric by which they are sorted instead, highest first; runs without it are
                left out.

        Raises:
            UserError: when there is no such experiment, or no run with such a metric.
        """
        found = self._search(self._experiments(experiment), limit, sort)
        if sort is not None and not found:
            raise UserError(f"--sort {sort}: no run has this metric; docs/metrics.md names them")
        return [self._told(run) for run in found]

    def one(self, reference: str) -> Told:
        """A run by its id, the first letters of it, or its name.

        Raises:
            UserError: when it names no run, or several.
        """
        if re.fullmatch("[0-9a-f]{32}", reference):
            return self._told(tracking.run_of(reference))
        runs = self._search(self._experiments(None), _MOST_LOOKED_AT, None)
        short = len(reference) >= 4
        fitting = [
            run for run in runs
            if run.info.run_name == reference or (short and run.info.run_id.startswith(reference))
        ]  # fmt: skip
        if len(fitting) != 1:
            names = ", ".join(run.info.run_id for run in fitting[:4])
            what = f"names {len(fitting)} runs: {names}; give an id" if fitting else "names no run"
            raise UserError(f"{reference}: {what}; `geovr runs` lists them")
        return self._told(fitting[0])

    def _search(self, experiments: Sequence[str], limit: int, sort: str | None) -> Sequence[Any]:
        order = ["attributes.start_time DESC"]
        if sort is not None:
            order.insert(0, f"metrics.`{_quoted(sort)}` DESC")
        found: list[Any] = []
        token = None
        while experiments and len(found) < limit:
            page = self._mlflow.search_runs(
                list(experiments), order_by=order, page_token=token,
                max_results=min(limit, _MOST_LOOKED_AT),
            )  # fmt: skip
            fitting = [run for run in page if sort is None or sort in run.data.metrics]
            found += fitting
            token = page.token
            if not token or len(fitting) < len(page):
                break  # those without the metric come last
        return found[:limit]

    def _experiments(self, name: str | None) -> list[str]:
        """Ids of an experiment and those below it."""
        token, known = None, []
        while True:
            page = self._mlflow.search_experiments(page_token=token)
            known += list(page)
            token = page.token
            if not token:
                break
        self._names = {str(one.experiment_id): str(one.name) for one in known}
        wanted = [
            number for number, called in self._names.items()
            if name is None or called == name or called.startswith(f"{name}/")
        ]  # fmt: skip
        if name is not None and not wanted:
            raise UserError(
                f"--experiment {name}: there is none of this name at"
                f" {tracking.redacted(tracking.tracking_uri())}; there are"
                f" {', '.join(sorted(self._names.values()))}"
            )
        return wanted

    def _told(self, run: Any) -> Told:
        info, data = run.info, run.data
        if str(info.experiment_id) not in self._names:
            self._names[str(info.experiment_id)] = str(
                self._mlflow.get_experiment(info.experiment_id).name
            )
        ended = info.end_time
        return Told(
            id=str(info.run_id),
            name=str(info.run_name),
            experiment=self._names[str(info.experiment_id)],
            status=str(info.status),
            began=datetime.fromtimestamp(info.start_time / 1000, UTC),
            seconds=(ended - info.start_time) / 1000 if ended else None,
            params=dict(sorted(data.params.items())),
            metrics=dict(sorted(data.metrics.items())),
            tags=dict(sorted(data.tags.items())),
            datasets=tuple(_datasets(run)),
            versions=tuple(self._versions(data.tags.get(TRAINING_RUN_TAG) or str(info.run_id))),
        )

    def _versions(self, run_id: str) -> list[str]:
        found = []
        for version in self._mlflow.search_model_versions(f"run_id = '{run_id}'"):
            names = self._aliases_of(str(version.name)).get(str(version.version), [])
            aliases = f" ({', '.join(names)})" if names else ""
            found.append(f"{version.name} {version.version}{aliases}")
        return sorted(found)

    def _aliases_of(self, model: str) -> dict[str, list[str]]:
        """Number of a version -> its aliases."""
        if model not in self._aliases:
            told: dict[str, list[str]] = {}
            for alias, number in sorted(self._mlflow.get_registered_model(model).aliases.items()):
                told.setdefault(str(number), []).append(str(alias))
            self._aliases[model] = told
        return self._aliases[model]


def _datasets(run: Any) -> list[Dataset]:
    found = []
    for given in run.inputs.dataset_inputs if run.inputs else []:
        tags = {tag.key: tag.value for tag in given.tags}
        whole = tags.get("geovr.digest", given.dataset.digest)
        context = tags.get("mlflow.data.context", "")
        found.append(Dataset(str(given.dataset.name), str(whole), str(context)))
    return sorted(found, key=lambda dataset: (dataset.context, dataset.name))


def _quoted(metric: str) -> str:
    """A metric's name inside a search.

    Raises:
        UserError: for a name that no metric can have.
    """
    if not re.fullmatch(r"[\w./: -]+", metric):
        raise UserError(f"--sort {metric}: not the name of a metric, such as eval/mean")
    return metric


def start_sweep(experiment: str, name: str, apart: str = "") -> str:
    """The run below which a sweep's trainings are shown, made when there is none; its id.

    Args:
        experiment: that it is in.
        name: of the sweep.
        apart: tells sweeps of one name from each other.
    """
    key = digest({"sweep": name, "apart": apart} if apart else {"sweep": name})[:24]
    with tracking.run(experiment, name, key, {"stage": "sweep"}) as run:
        return run.run_id
