"""MLflow: runs of an experiment, on a server or in a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from commenv.trackers.tracker import Tracker

__all__ = ["MLflow"]

_MOST_METRICS = 1000
"""In one call; MLflow takes no more."""

_MOST_CHARACTERS = 500
"""Of a parameter's value; servers of MLflow take at least these."""


@dataclass
class _Run:
    """A run, and the metrics of it that were not sent yet."""

    id: str
    metrics: list[Any] = field(default_factory=list)


class MLflow(Tracker):
    """Writes each trial as a run of an experiment.

    Metrics are sent together, about 40 rounds at a time. The settings of an arm are the
    run's parameters, such as ``algorithm.alpha``.

    Args:
        uri: Of the server, or ``sqlite:///runs.db`` for a file.
        experiment: The experiment's name; made if there is none.
        every: See :class:`~commenv.trackers.Tracker`.
    """

    title: ClassVar[str] = "MLflow"
    extra: ClassVar[str] = "mlflow"
    cure: ClassVar[str] = (
        "see whether there is a server at the URI, or write a file with "
        "sqlite:///runs.db"
    )

    def __init__(self, uri: str, experiment: str = "commenv", every: int = 1) -> None:
        super().__init__(every)
        self._uri, self._experiment = uri, experiment
        self._client: Any = None
        self._experiment_id = ""

    def begin(self, label: str, trial: int, config: Mapping[str, Any]) -> _Run:
        """A run; see :class:`~commenv.trackers.Tracker`."""
        from mlflow.entities import Param

        if self._client is None:
            self._connect()
        run = self._client.create_run(
            self._experiment_id, run_name=f"{label}, trial {trial}"
        )
        params = [Param(name, text[:_MOST_CHARACTERS]) for name, text in _flat(config)]
        self._client.log_batch(run.info.run_id, params=params)
        return _Run(run.info.run_id)

    def log(self, run: _Run, step: int, values: Mapping[str, float]) -> None:
        """Notes metrics, and sends those that wait if there are many."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        if len(run.metrics) + len(values) > _MOST_METRICS:
            self._send(run)
        run.metrics += [Metric(name, one, now, step) for name, one in values.items()]

    def finish(self, run: _Run, pruned: bool | None) -> None:
        """Ends the run; one whose trial has not ended is marked as killed."""
        self._send(run)
        if pruned is not None:
            self._client.set_tag(run.id, "pruned", str(pruned).lower())
        status = "KILLED" if pruned is None else "FINISHED"
        self._client.set_terminated(run.id, status)

    def _connect(self) -> None:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self._uri)
        found = client.get_experiment_by_name(self._experiment)
        self._experiment_id = (
            client.create_experiment(self._experiment)
            if found is None
            else found.experiment_id
        )
        self._client = client

    def _send(self, run: _Run) -> None:
        self._client.log_batch(run.id, metrics=run.metrics)
        run.metrics = []


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested dictionaries, by their paths."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)
