"""The store in Prometheus' text format."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backend.qa.figures import group, pointing
from backend.qa.queries import num_predictions, score_rows
from backend.qa.store import Store


class _Quality(Collector):
    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> list[GaugeMetricFamily]:
        names = ["server", "project"]
        points = GaugeMetricFamily(
            "videogem_qa_points", "Predicted points that were reviewed, each once.", labels=names
        )
        hits = GaugeMetricFamily(
            "videogem_qa_hits",
            "Those that lie in the corrected box, for at least half of their reviews.",
            labels=names,
        )
        accuracy = GaugeMetricFamily(
            "videogem_qa_pointing_accuracy", "Hits over points, 0 to 1.", labels=names
        )
        annotations = GaugeMetricFamily(
            "videogem_qa_annotations", "Annotations by outcome.", labels=[*names, "outcome"]
        )
        rows = score_rows(self._store)
        for key, part in sorted(group(rows, lambda r: (r["server"], str(r["project_id"]))).items()):
            figure = pointing(r for r in part if r["counted"])
            points.add_metric(list(key), figure["n"])
            hits.add_metric(list(key), figure["hits"])
            if figure["n"]:
                accuracy.add_metric(list(key), figure["accuracy"])
            verdicts = [r for r in part if r["kind"] == "annotation"]
            for outcome, same in sorted(group(verdicts, lambda r: r["outcome"]).items()):
                annotations.add_metric([*key, outcome], len(same))
        inbox = GaugeMetricFamily("videogem_qa_inbox", "Webhook events.", labels=["state"])
        for state, count in self._store.inbox_counts().items():
            inbox.add_metric([state], count)
        predictions = GaugeMetricFamily(
            "videogem_qa_predictions",
            "Predictions known.",
            value=num_predictions(self._store),
        )
        return [points, hits, accuracy, annotations, inbox, predictions]


def metrics_text(store: Store) -> bytes:
    """All gauges of the store."""
    registry = CollectorRegistry()
    registry.register(_Quality(store))
    return generate_latest(registry)
