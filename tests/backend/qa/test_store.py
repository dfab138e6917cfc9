"""The inbox loses nothing, and the state does not depend on the order of what arrives."""

import json
import random

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.queries import num_predictions, summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.qa_events import (
    CREATED,
    all_recorded,
    annotation,
    box,
    created,
    deleted,
    point,
    prediction,
    recorded,
)
from videogem.errors import InputError


def state_of(store):
    store.process_pending()
    tables = (schema.projects, schema.tasks, schema.annotations, schema.predictions, schema.scores)
    # The moment a deletion was received is not part of the state, that it was is.
    return {
        table.name: [
            {k: bool(v) if k == "deleted_at" else v for k, v in row.items()}
            for row in store.rows(table)
        ]
        for table in tables
    }


def replay(path, events):
    store = Store(f"sqlite:///{path}")
    for event in events:
        store.append_event(event)
    state = state_of(store)
    store.close()
    return state


def test_recordings_in_any_order_and_repeated_reach_the_same_state(tmp_path):
    events = all_recorded()
    assert len(events) >= 13
    expected = replay(tmp_path / "ordered.db", events)
    alive = [row["id"] for row in expected["annotations"] if not row["deleted_at"]]
    assert alive == [2, 3, 18, 19, 20]
    for seed in range(8):
        shuffled = events * 3
        random.Random(seed).shuffle(shuffled)
        assert replay(tmp_path / f"{seed}.db", shuffled) == expected


def test_made_events_in_any_order_reach_the_same_state(tmp_path):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=7)
    first = annotation(1, [point(30, 30), box(20, 20, 20, 20)], prediction=guess, second=1)
    second = annotation(1, [point(60, 60), box(50, 50, 20, 20)], second=2)
    events = [
        created(first),
        created(second, "ANNOTATION_UPDATED"),
        created(annotation(2, [box(20, 20, 20, 20)], ground_truth=True, second=3)),
        created(annotation(3, [point(1, 1)], second=4)),
        deleted(3),
        {"action": "ANNOTATIONS_CREATED", "annotation": [annotation(4, [], task=2)]},
        {"action": "TASKS_DELETED", "tasks": [{"id": 2}]},
    ]
    expected = replay(tmp_path / "ordered.db", events)
    for seed in range(8):
        shuffled = events * 2
        random.Random(seed).shuffle(shuffled)
        assert replay(tmp_path / f"{seed}.db", shuffled) == expected


def test_summary_follows_creation_update_and_deletion(store):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=7)
    kept = annotation(1, guess["result"], prediction=guess, parent_prediction=7)
    moved = [point(60, 60), box(50, 50, 20, 20)]

    def figures():
        store.process_pending()
        found = summary(store, ProjectKey("", 1))
        return found["n"], found["hits"]

    store.append_event(created(kept))
    assert figures() == (1, 1)
    # An update that carries the very time of the creation still replaces it.
    store.append_event(created({**kept, "result": moved}, "ANNOTATION_UPDATED"))
    assert figures() == (1, 0)
    store.append_event(created(kept))
    assert figures() == (1, 0)
    store.append_event(created(annotation(2, [], was_cancelled=True, prediction=guess)))
    assert figures() == (1, 0)
    store.append_event(deleted(1))
    assert figures() == (0, 0)
    assert summary(store, ProjectKey("", 1))["accuracy"] is None


def test_ground_truth_wins_over_the_task_s_other_annotations(store):
    guess = prediction([point(30, 30)], id=7)
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    store.append_event(created(annotation(2, [box(80, 80, 10, 10)], ground_truth=True)))
    store.process_pending()
    assert summary(store, ProjectKey("", 1))["n"] == 1
    assert summary(store, ProjectKey("", 1))["hits"] == 0


def test_an_annotation_that_moves_to_another_task_is_scored_there_alone(store):
    for task in (1, 2):
        store.record_all(ProjectKey("", 1), [(task, prediction([point(30, 30)]))])
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], task=2, second=1)))
    store.process_pending()
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], task=1, second=2)))
    store.process_pending()
    assert {row["task_id"] for row in store.rows(schema.scores)} == {1}
    assert summary(store, ProjectKey("", 1))["n"] == 1


def test_many_predictions_are_kept_with_few_statements(store):
    statements = []
    sa.event.listen(
        store.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    version = {"model_version": "m1", "result": [], "score": 0.5}
    pairs = [(task, version) for task in range(1, 1201)]
    store.record_all(ProjectKey("", 1), pairs)
    assert len(store.rows(schema.predictions)) == 1200
    assert len(statements) < 40
    store.record_all(ProjectKey("", 1), [*pairs, (1201, version), (1201, version)])
    assert len(store.rows(schema.predictions)) == 1201


def test_predictions_recorded_at_predict_time_are_used_and_kept_once(store):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)])
    for _ in range(3):
        store.record_all(ProjectKey("", 1), [(1, guess)])
    store.append_event(created(annotation(1, [point(31, 31), box(20, 20, 20, 20)])))
    store.process_pending()
    assert len(store.rows(schema.predictions)) == 1
    assert summary(store, ProjectKey("", 1))["hits"] == 1
    # Late predictions count too: the webhook may overtake them.
    store.append_event(created(annotation(9, [box(0, 0, 5, 5)], task=5)))
    store.process_pending()
    store.record_all(ProjectKey("", 1), [(5, prediction([point(50, 50)]))])
    assert summary(store, ProjectKey("", 1))["n"] == 2


def test_secrets_of_the_project_are_not_stored(store):
    event = recorded("webhook_annotation_created_image")[0]
    event["project"] |= {"token": "s3cret-token", "task_data_password": "s3cret-word"}
    store.append_event(event)
    assert "s3cret" not in json.dumps(store.rows(schema.inbox))


def test_migrations_make_the_tables_of_the_schema(store):
    with store.read() as connection:
        inspector = sa.inspect(connection)
        for table in schema.metadata.sorted_tables:
            columns = {c["name"] for c in inspector.get_columns(table.name)}
            assert columns == set(table.columns.keys()), table.name
            indexes = {i["name"] for i in inspector.get_indexes(table.name)}
            assert indexes == {i.name for i in table.indexes}, table.name


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_database_url_says_what_is_expected(url):
    with pytest.raises(InputError, match=r"sqlite:///qa\.db"):
        Store(url)


def test_a_version_that_is_used_again_is_shown_again(store):
    """v1, v2 and v1 once more: an annotation drawn independently counts for what is in use."""
    one = prediction([point(30, 30)], version="v1")
    two = prediction([point(80, 80)], version="v2")
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)])))
    store.process_pending()
    shown, revisions = [], set()
    for guess in (one, two, one):
        store.record_all(ProjectKey("", 1), [(1, guess)])
        shown.append(summary(store)["hits"])
        revisions.add(store.revision())
    assert shown == [1, 0, 1]
    assert len(revisions) == 3  # or the page would go on showing the other
    found = build_report(store, Filters())
    assert found["headline"]["n"] == 1
    rows = {row["name"]: (row["hits"], row["n"]) for row in found["breakdowns"]["model_version"]}
    assert rows == {"v1": (1, 1), "v2": (0, 1)}
    assert build_report(store, Filters(model_version="v2"))["headline"]["hits"] == 0
    assert num_predictions(store) == 2


def test_a_new_label_studio_s_predictions_take_the_places_of_the_old_one_s(store):
    """It starts counting again: reviews there are none of what was predicted before."""
    for id in (1, 2):
        guess = prediction([point(30, 30, id=f"old{id}")], id=id)
        left = [*guess["result"], box(20, 20, 20, 20)]
        made = annotation(id, left, task=id, prediction=guess, parent_prediction=id)
        store.append_event(created(made))
    store.process_pending()
    assert (summary(store)["n"], summary(store)["hits"]) == (2, 2)
    later = "2026-12-01T00:00:00.000000Z"
    guess = {**prediction([point(90, 90, id="new")], id=1), "created_at": later}
    made = annotation(1, [*guess["result"], box(20, 20, 20, 20)], prediction=guess)
    event = created({**made, "parent_prediction": 1, "created_at": later, "updated_at": later})
    store.append_event(event)
    store.process_pending()
    assert (summary(store)["n"], summary(store)["hits"]) == (2, 1)
    assert num_predictions(store) == 2
    for again in (
        event,
        created({**made, "prediction": prediction([], id=1)}),
    ):  # late, the old one's
        store.append_event(again)
    store.process_pending()
    assert [row["created_at"] for row in store.rows(schema.predictions)] == [later, CREATED]


def test_a_prediction_that_came_back_with_an_id_is_one(store):
    guess = prediction([point(30, 30)], id=5)
    store.record_all(ProjectKey("", 1), [(1, {k: v for k, v in guess.items() if k != "id"})])
    assert num_predictions(store) == 1
    store.append_event(created(annotation(1, [point(30, 30)], prediction=guess)))
    store.process_pending()
    assert len(store.rows(schema.predictions)) == 2
    assert num_predictions(store) == 1
