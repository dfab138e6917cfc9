"""The store in Prometheus' text format."""

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backend.prediction.job_counts import not_in_frame
from backend.qa.figures import NO_SHARE
from backend.qa.ledger import Snapshot
from backend.qa.queries import num_predictions
from backend.qa.store import Store
from backend.qa.table import NONE, Table
from backend.qa.tally import shares_of_points

_PROJECT = ["server", "project"]


class MetricsPage(Collector):
    """All gauges of the store as text; what is counted is counted once for a state of the figures.

    Safe to share between threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[Snapshot, list[GaugeMetricFamily]] | None = None

    def text(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> list[GaugeMetricFamily]:
        counted = self._counted_rows()
        inbox = GaugeMetricFamily("videogem_qa_inbox", "Webhook events.", labels=["state"])
        for state, count in self._store.inbox_counts().items():
            inbox.add_metric([state], count)
        predictions = GaugeMetricFamily(
            "videogem_qa_predictions",
            "Predictions known.",
            value=num_predictions(self._store),
        )
        absent = GaugeMetricFamily(
            "videogem_tasks_not_in_frame",
            "Tasks of the job list without a prediction: no frame shows what is said.",
            labels=_PROJECT,
        )
        with self._store.read() as connection:
            for own, count in sorted(not_in_frame(connection).items()):
                absent.add_metric([own.server, str(own.id)], count)
        return [*counted, inbox, predictions, absent]

    def _counted_rows(self) -> list[GaugeMetricFamily]:
        """What is counted in the score rows; nothing while they are read for the first time."""
        if self._store.ledger.being_read():
            return []
        snapshot, known = self._store.ledger.look(), self._known
        if known is None or known[0] is not snapshot:
            known = self._known = snapshot, _counts(snapshot.rows)
        return known[1]


def _counts(rows: Table) -> list[GaugeMetricFamily]:
    """What is counted in the score rows."""
    points = GaugeMetricFamily(
        "videogem_qa_points", "Predicted points that were reviewed, each once.", labels=_PROJECT
    )
    hits = GaugeMetricFamily(
        "videogem_qa_hits",
        "Those that lie in the corrected box, for at least half of their reviews.",
        labels=_PROJECT,
    )
    accuracy = GaugeMetricFamily(
        "videogem_qa_pointing_accuracy", "Hits over points, 0 to 1.", labels=_PROJECT
    )
    annotations = GaugeMetricFamily(
        "videogem_qa_annotations", "Annotations by outcome.", labels=[*_PROJECT, "outcome"]
    )
    counted = rows.take(rows["counted"])
    shares = shares_of_points(counted, counted["project_id"], counted["hit"])
    verdicts = rows.take(rows.where("kind", "annotation"))
    for key, number in _projects(rows):
        figure = shares.get(number, NO_SHARE)
        points.add_metric(key, figure["n"])
        hits.add_metric(key, figure["hits"])
        if figure["n"]:
            accuracy.add_metric(key, figure["accuracy"])
        given = verdicts["outcome"][verdicts["project_id"] == number]
        counts = np.bincount(given) if len(given) else given
        outcomes = verdicts.vocabulary["outcome"].values
        for outcome, count in sorted(zip(outcomes, counts.tolist(), strict=False)):
            if count:
                annotations.add_metric([*key, outcome], count)
    return [points, hits, accuracy, annotations]


def _projects(rows: Table) -> list[tuple[list[str], int]]:
    """Server and number of every project, with what stands for it."""
    names = rows.vocabulary["project_id"].values
    codes = rows["project_id"]
    found = np.flatnonzero(np.bincount(codes[codes != NONE])).tolist()
    return sorted(([names[n][0], str(names[n][1])], n) for n in found)


def metrics_text(store: Store) -> bytes:
    """All gauges of the store."""
    return MetricsPage(store).text()
