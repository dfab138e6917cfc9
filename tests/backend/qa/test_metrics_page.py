"""/metrics counts once for a state of the figures, and never says what was before."""

from pathlib import Path

import pytest

from backend.qa import metrics_page
from backend.qa.metrics_page import MetricsPage
from backend.qa.store import Store
from tests.qa_events import annotation, box, created
from tests.qa_world import team_events


def test_nothing_is_counted_anew_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    count = metrics_page._counts

    def counting(rows):
        counted.append(len(rows))
        return count(rows)

    monkeypatch.setattr(metrics_page, "_counts", counting)
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    try:
        for event in team_events(20):
            store.append_event(event)
        store.process_pending()
        page = MetricsPage(store)
        first = page.text()
        assert [page.text(), page.text()] == [first, first]
        assert len(counted) == 1
        extra = annotation(900, [box(1, 1, 5, 5)], task=1003, project=7, second=99, completed_by=4)
        store.append_event(created(extra, narration="cut the onion"))
        store.process_pending()
        after = page.text()
        assert len(counted) == 2
        assert after == MetricsPage(store).text() != first
    finally:
        store.close()
