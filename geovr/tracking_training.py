"""The MLflow run of a training, which goes on when the server is away."""

from __future__ import annotations

from collections.abc import Callable

from geovr import distributed, tracking
from geovr.errors import Interrupted
from geovr.home import home
from geovr.metric_spool import MetricSpool, Point


class TrainingRun:
    """The run of a training: it needs no server but in the end, and loses no metric.

    Args:
        experiment: name of the experiment.
        name: of the run.
        key: by which the run is found again.
        tags: of a new run.
        describe: logs parameters and data sets; called whenever the server is found.
    """

    def __init__(
        self,
        experiment: str,
        name: str,
        key: str,
        tags: dict[str, str],
        describe: Callable[[tracking.Run], None],
    ) -> None:
        self._run: tracking.Run | None = None
        self._asked = (experiment, name, key, tags)
        self._describe = describe
        self.path = home() / "spool" / f"{key}.jsonl"
        leader = distributed.rank() == 0
        self._spool = MetricSpool(self.path, self._connect, self._send) if leader else None

    def _connect(self) -> set[int]:
        mlflow = tracking.client()
        run = tracking.Run(mlflow, tracking.find_or_create(mlflow, *self._asked))
        mlflow.update_run(run.run_id, status="RUNNING")
        self._describe(run)
        steps = run.logged_steps("loss")
        self._run = run
        return steps

    def _send(self, points: list[Point]) -> None:
        if self._run is None:
            raise RuntimeError("not connected")
        self._run.log_points(points)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Metrics of a step; never waits for the server."""
        if self._spool is not None:
            self._spool.add(step, metrics)

    def close(self, status: str, patience_s: float) -> str:
        """End the run once the server has everything; its id, empty on other ranks than 0.

        Raises:
            Interrupted: when the server doesn't have it after so long; the same call goes on.
        """
        if self._spool is None:
            return ""
        if not self._spool.close(patience_s) or self._run is None:
            server = tracking.redacted(tracking.tracking_uri())
            raise Interrupted(
                f"train: the tracking server {server} did not take the metrics"
                f" within {patience_s:.0f} s; they wait in {self.path} and the same command sends"
                " them; nothing is trained again"
            )
        tracking.client().set_terminated(self._run.run_id, status)
        return self._run.run_id
