"""Figures that follow what changed equal those counted anew, row by row."""

import itertools
import math
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa import table as table_module
from backend.qa.ledger import Ledger
from backend.qa.metrics_page import metrics_text
from backend.qa.queries import num_predictions, summary
from backend.qa.report import Selection, build_report, figures
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.table import Table, Vocabulary
from tests.qa_by_rows import report_by_rows
from tests.qa_events import annotation, box, created, deleted, point, prediction
from tests.qa_world import team_events

PROJECTS = itertools.count(1)
APART = ("audit", "audit_counts", "audit_as_of", "projects", "sync_errors", "inbox")
LAYOUTS = (
    [point(30, 30), box(20, 20, 20, 20)],
    [point(30, 30), box(60, 60, 20, 20)],
    [point(33, 31), box(20, 20, 24, 20, label="other")],
    [box(20, 20, 20, 20)],
    [point(30, 30)],
    [],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/qa.db")
    yield store
    store.close()


def about(value):
    """Nested values whose numbers are those of another way of adding up."""
    if isinstance(value, dict):
        return {key: about(one) for key, one in value.items()}
    if isinstance(value, list):
        return [about(one) for one in value]
    if isinstance(value, float) and not math.isnan(value):
        return pytest.approx(value, rel=1e-9, abs=1e-9)
    return value


def check_equal(store, filters):
    live = build_report(store, filters)
    by_rows = report_by_rows(store, filters)
    for name, expected in by_rows.items():
        assert live[name] == about(expected), name
    assert set(live) >= {*by_rows, *APART}
    again = Selection.of(Ledger(store.read).look(), filters, filters.project)
    anew = figures(again, filters, tolerance=5.0)
    assert {name: live[name] for name in anew} == about(anew)


STEP = st.one_of(
    st.tuples(
        st.just("annotate"),
        st.integers(0, 3),  # task
        st.integers(1, 3),  # annotator
        st.sampled_from(LAYOUTS),
        st.sampled_from(["own", "started", "skipped", "truth", "bulk"]),
        st.sampled_from(["m1", "m2"]),
    ),
    st.tuples(st.just("delete"), st.integers(0, 3), st.integers(1, 3)),
    st.tuples(st.just("predict"), st.integers(0, 3), st.sampled_from(["m1", "m2"]),
              st.sampled_from(LAYOUTS)),
    st.tuples(st.just("empty"), st.integers(0, 3)),
    st.tuples(st.just("look")),
    st.tuples(st.just("recompute")),
)  # fmt: skip


def play(store, project, steps):
    """Events of one project whose ids are its own."""
    base = 100 * project
    for second, (what, *rest) in enumerate(steps, 1):
        if what == "look":
            summary(store, ProjectKey("", project))
        elif what == "recompute":
            store.recompute()
        elif what == "delete":
            task, who = rest
            store.append_event(deleted(base + 10 * task + who, project=project))
        elif what == "empty":
            task = {"id": base + rest[0]}
            store.append_event(
                {"action": "TASKS_DELETED", "tasks": [task], "project": {"id": project}}
            )
        elif what == "predict":
            task, version, regions = rest
            guess = prediction(regions, version=version)
            store.record_all(ProjectKey("", project), [(base + task, guess)])
        else:
            task, who, regions, how, version = rest
            guess = prediction(LAYOUTS[0], id=base + task + 50 * (version == "m2"), version=version)
            extra = {"prediction": guess, "parent_prediction": guess["id"]}
            if how == "own":
                extra["parent_prediction"] = None
            extra |= {"was_cancelled": how == "skipped", "ground_truth": how == "truth"}
            extra |= {"lead_time": None if how == "bulk" else 1.0 + second}
            made = annotation(base + 10 * task + who, regions, task=base + task, project=project,
                              second=second, completed_by=who, **extra)  # fmt: skip
            words = {"narration": f"cut the {('onion', 'bread')[task % 2]}"}
            words |= {"video_id": f"v{project}"} if task > 1 else {}
            store.append_event(created(made, "ANNOTATION_UPDATED", **words))
    store.process_pending()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=1, max_size=14), data=st.data())
def test_figures_that_follow_events_equal_those_counted_anew(store, steps, data):
    project = next(PROJECTS)
    play(store, project, steps)
    chosen = Filters(project=ProjectKey("", project))
    check_equal(store, chosen)
    narrow = data.draw(st.sampled_from([
        {"annotator": "2"}, {"label": "other"}, {"model_version": "m2"}, {"verb": "cut"},
        {"object": "bread"}, {"until": "2026-11-23T00:00:05"}, {"since": "2026-11-23T00:00:03"},
    ]))  # fmt: skip
    check_equal(store, replace(chosen, **narrow))


def test_the_figures_of_a_team_equal_those_counted_by_row(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    try:
        for event in team_events(80):
            store.append_event(event)
        for server in ("http://one.example", "http://two.example"):
            for event in team_events(10, seed=3):
                store.append_event(event, server)
        check_equal(store, Filters())
        check_equal(store, Filters(annotator="2@http://one.example"))
        check_equal(store, Filters(project=ProjectKey("http://one.example", 7)))
    finally:
        store.close()


def test_an_event_reads_the_rows_of_its_task_alone(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    try:
        for event in team_events(60):
            store.append_event(event)
        store.process_pending()
        before = summary(store)["n"]
        all_rows = store.ledger.rows_read
        assert all_rows == len(store.rows(schema.scores))
        extra = annotation(900, [box(1, 1, 5, 5)], task=1003, project=7, second=99, completed_by=4)
        store.append_event(created(extra, narration="cut the onion"))
        store.process_pending()
        own = len(store.rows(schema.scores, schema.scores.c.task_id == 1003))
        assert summary(store)["n"] == before
        metrics_text(store)
        build_report(store, Filters())
        build_report(store, Filters(annotator="4"))
        assert store.ledger.rows_read == all_rows + own
    finally:
        store.close()


def test_another_process_sees_what_changed(tmp_path):
    url = f"sqlite:///{tmp_path}/qa.db"
    writer, reader = Store(url), Store(url)
    try:
        for event in team_events(20):
            writer.append_event(event)
        writer.process_pending()
        before = summary(reader)
        assert before == summary(writer)
        writer.append_event(deleted(1, 2, 3, project=7))
        writer.process_pending()
        assert summary(reader)["n"] == before["n"] - 3
        assert summary(reader) == summary(writer)
        writer.adopt("http://one.example")
        assert summary(reader) == summary(writer)
        assert reader.ledger.look().vocabulary["server"].values == ["http://one.example"]
    finally:
        writer.close()
        reader.close()


def test_the_number_of_predictions_is_counted_as_they_come(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    try:
        key = ProjectKey("http://one.example", 1)
        store.record_all(key, [(1, prediction([point(1, 1)])), (2, prediction([point(1, 1)]))])
        assert num_predictions(store) == 2
        store.record_all(key, [(1, prediction([point(1, 1)])), (1, prediction([], version="m2"))])
        assert num_predictions(store) == 3
        back = prediction([point(1, 1)], id=5)
        made = created(annotation(1, [], prediction=back, parent_prediction=5))
        store.append_event(made, key.server)  # the same prediction, now with an id of its own
        store.process_pending()
        assert num_predictions(store) == 3
        with store.write() as connection:
            facts = schema.facts
            connection.execute(facts.delete().where(facts.c.name == schema.PREDICTIONS_KNOWN))
        assert num_predictions(store) == 3
    finally:
        store.close()


@given(
    known=st.lists(st.tuples(*[st.integers(0, 3)] * 4), max_size=60),
    drawn=st.lists(st.tuples(*[st.integers(0, 3)] * 4), max_size=8),
    seed=st.integers(0, 2**16),
)
def test_new_rows_are_put_where_sorting_all_of_them_would(known, drawn, seed):
    vocabulary = Vocabulary()
    table = table_of(sorted(set(known)), vocabulary).in_order()
    kept = np.random.default_rng(seed).random(len(table)) < 0.7
    left = set(keys_of(table.take(kept)))
    new = table_of([row for row in dict.fromkeys(drawn) if row not in left], vocabulary)
    expected = Table.join([table.take(kept), new]).in_order()
    with patch.object(table_module, "FEW", 0):  # however many there are
        merged = table.replaced(kept, new)
    for name in expected.names:
        np.testing.assert_array_equal(merged[name], expected[name])


def table_of(keys, vocabulary):
    """Score rows of these keys: second, server, annotation, position."""
    servers = "http://b", "http://a", "", "http://c"
    return Table.of(
        [
            {
                "kind": "point", "outcome": "moved", "label": str(keys), "verb": "", "object": "",
                "server": servers[server], "task_id": 1, "annotation_id": number + 1,
                "position": position, "model_version": "m", "video": "", "place": f"kp{position}",
                "item": 0, "told_video": "", "at": f"2026-11-23T00:00:0{second}", "project_id": 1,
                "annotator": 1,
            }
            for second, server, number, position in keys
        ],
        vocabulary,
    )  # fmt: skip


def keys_of(table):
    servers = "http://b", "http://a", "", "http://c"
    names = [
        table.vocabulary["server"].values[code] if code >= 0 else "" for code in table["server"]
    ]
    return [
        (int(at[-1:]), servers.index(name), int(number) - 1, int(position))
        for at, name, number, position in zip(
            table["at"], names, table["annotation_id"], table["position"], strict=True
        )
    ]


def test_an_event_sorts_the_rows_of_its_task_alone(tmp_path, monkeypatch):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    try:
        for event in team_events(60):
            store.append_event(event)
        store.process_pending()
        store.ledger.look()
        sizes = []
        sort = np.lexsort
        monkeypatch.setattr(np, "lexsort", lambda keys: sizes.append(len(keys[0])) or sort(keys))
        extra = annotation(900, [box(1, 1, 5, 5)], task=1003, project=7, second=99, completed_by=4)
        store.append_event(created(extra, narration="cut the onion"))
        store.process_pending()
        store.ledger.look()
        own = len(store.rows(schema.scores, schema.scores.c.task_id == 1003))
        assert sizes == [own]
    finally:
        store.close()
