"""Tracks of an hour: all of it counts, in bounded memory, and pages do not read it each time."""

from typing import Any

import pytest

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.labeling.shapes import MAX_KEYS
from backend.qa import regions
from backend.qa.audit_lists import AuditLists, make_list
from backend.qa.events import read_event
from backend.qa.first_keys import MANY
from backend.qa.regions import corners_at, read_regions
from backend.qa.store import Store
from tests.backend.prediction.test_batch import wait_for
from tests.qa_events import annotation, box, created, prediction, track

LONG = 5_000  # frames, 20 times what is compared; an hour has 108,000, 11 times what is


def keys(count: int, x: float = 10.0, **extra: Any) -> list[dict[str, Any]]:
    shape = {"y": 20, "width": 20, "height": 20, "rotation": 0, "enabled": True, **extra}
    return [{"frame": 1 + n, "time": n / 30, "x": x + n % 50, **shape} for n in range(count)]


def test_a_long_video_that_is_labelled_on_each_frame_is_compared_from_start_to_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right in the first half and a tenth of the second: one that looked at its start alone would
    call all of it right.
    """
    monkeypatch.setattr(regions, "MAX_COMPARED", LONG // 20)
    wrong = [
        {**key, "x": key["x"] if n < 0.55 * LONG else 0, "y": key["y"] if n < 0.55 * LONG else 80}
        for n, key in enumerate(keys(LONG))
    ]
    guess = prediction([track(wrong, id="t")], id=7)
    store.append_event(created(annotation(1, [track(keys(LONG), id="t")], prediction=guess)))
    wait_for(lambda: store.inbox_counts()["waiting"] == 0, seconds=120)
    [row] = [r for r in store.rows(schema.scores) if r["data"].get("kind") == "track"]
    data = row["data"]
    assert data["frames"] == pytest.approx(regions.MAX_COMPARED, rel=0.1)
    assert data["frame_hits"] / data["frames"] == pytest.approx(0.55, abs=0.01)
    assert not any(r["data"].get("left_out") for r in store.rows(schema.scores))
    [kept] = store.rows(schema.annotations)
    assert len(kept["result"][0]["value"]["sequence"]) == LONG


def test_of_more_keys_some_are_kept_and_the_track_is_where_it_was() -> None:
    """Forty people in a video of five minutes; one of them leaves for a while."""
    pause = range(4000, 4100)
    straight = [
        {**key, "x": n / 200, "enabled": n not in pause} for n, key in enumerate(keys(9000))
    ]
    told = [track(straight, id=f"t{i}") for i in range(40)]
    [row] = read_event(created(annotation(1, told)), "2026-01-01").annotations
    num_keys = sum(len(region["value"]["sequence"]) for region in row["result"])
    assert num_keys <= 1.1 * MAX_KEYS
    [before], [after] = read_regions(told[:1]), read_regions(row["result"][:1])
    for frame in (1, 2, 3, 777, 4000, 4001, 4101, 4102, 8999, 9000):
        was, now = corners_at(before, frame), corners_at(after, frame)
        assert was is not None
        assert now is not None
        assert now == tuple(pytest.approx(corner) for corner in was)
    assert corners_at(after, 4050) is None
    assert len(told[0]["value"]["sequence"]) == 9000  # what came is left as it is


def test_pauses_without_end_do_not_keep_all_keys() -> None:
    flicker = [{**key, "enabled": n % 2 == 0} for n, key in enumerate(keys(2 * MAX_KEYS))]
    [row] = read_event(created(annotation(1, [track(flicker)])), "2026-01-01").annotations
    assert len(row["result"][0]["value"]["sequence"]) == MAX_KEYS


def test_the_audit_list_is_as_before_and_reads_a_long_track_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ProjectKey("", 1)
    guess = prediction([track(keys(MANY), id="t")], id=7)
    far = keys(MANY, x=0.0, width=0.05, height=0.05)  # a suspect: as small as that
    shuffled = [*far[5:], *far[:5]]  # the first key is not the first in the list
    store.append_event(created(annotation(1, [track(shuffled, id="t")], prediction=guess)))
    store.process_pending()
    lists = AuditLists(store)
    with monkeypatch.context() as patch:
        patch.setattr("backend.qa.first_keys.MANY", 10**9)
        whole = make_list(store, project).suspects
    assert whole
    assert lists.get(project, 1).suspects == whole
    read: list[int] = []
    rows = store.rows

    def counted(table: Any, *where: Any) -> list[dict[str, Any]]:
        found = rows(table, *where)
        read.extend(row["id"] for row in found if table is schema.annotations)
        return found

    monkeypatch.setattr(store, "rows", counted)
    store.append_event(created(annotation(2, [box(1, 2, 3, 4)], task=2)))
    store.process_pending()
    assert lists.get(project, 2).suspects[: len(whole)] == whole
    assert read == [2]
    right = annotation(1, [track(keys(MANY), id="t")], prediction=guess, second=5)
    store.append_event({**created(right), "action": "ANNOTATION_UPDATED"})
    store.process_pending()
    listed = {suspect["annotation_id"] for suspect in lists.get(project, 2).suspects}
    assert read == [2, 1, 2]  # the other is short, and is read with it
    assert 1 not in listed
