"""Who can be relied on, from what a store holds and was drawn independently."""

import json

import numpy as np
from typer.testing import CliRunner

from backend.cli import app
from backend.database.keys import ProjectKey
from backend.qa.estimates import annotators
from backend.qa.estimates.annotators import rate_annotators
from backend.qa.events import Changes, read_event
from tests.qa_events import annotation, box, created, point, prediction

PROJECT = ProjectKey("", 7)


def put(store, made):
    """Bring annotations into the store as Label Studio sends them."""
    changes = Changes()
    for one in made:
        found = read_event(created(one, video=f"v{one['task']}"), one["updated_at"])
        for name in ("projects", "tasks", "annotations", "predictions"):
            getattr(changes, name).extend(getattr(found, name))
    store.merge(PROJECT.server, changes)


def drawn(task, person, regions, **more):
    return annotation(
        1000 * person + task, regions, task=task, project=7, completed_by=person, **more
    )


def team(tasks=60, people=(1, 2, 3), noise=(0.5, 2.0, 4.0), misses=(0.02, 0.05, 0.4), seed=1):
    """Three people draw a box of 20 % side round the same place; some overlook it."""
    rng = np.random.default_rng(seed)
    for task in range(tasks):
        for person, scale, miss in zip(people, noise, misses, strict=True):
            corners = np.array([40.0, 40, 60, 60]) + rng.normal(size=4) * scale
            x, y, right, low = corners.tolist()
            overlooked = task % 2 and rng.random() < miss
            gone = task % 2 == 0  # the action is not there
            regions = [] if overlooked or gone else [box(x, y, right - x, low - y)]
            yield drawn(task, person, regions)


def rows_of(store):
    return {row["annotator"]: row for row in rate_annotators(store, PROJECT)["annotators"]}


def test_rates_and_noise_are_found_again(store):
    put(store, team(160))
    rows = rows_of(store)
    assert [rows[k]["tasks"] for k in (1, 2, 3)] == [160] * 3
    assert rows[1]["sees"]["low"] > 0.85
    assert rows[3]["sees"]["low"] < 0.6 < rows[3]["sees"]["high"]
    assert rows[1]["sees_absence"]["low"] > 0.9
    # 640 by 360 pixels: a box of 20 % by 20 % has a side of 96 pixels; x and y noise differ.
    for person, scale in ((1, 0.5), (2, 2.0), (3, 4.0)):
        wide, high = scale * 6.4 / 96, scale * 3.6 / 96
        true = np.sqrt((wide**2 + high**2) / 2)
        assert rows[person]["noise"]["low"] / 1.3 < true < rows[person]["noise"]["high"] * 1.3


def test_ground_truth_rates_one_person_alone(store):
    put(store, [one for one in team(40) if one["completed_by"] == 3])
    assert rows_of(store) == {}
    put(store, [drawn(t, 9, [box(40, 40, 20, 20)], ground_truth=True) for t in (1, 3)])
    row = rows_of(store)[3]
    assert "2 of at least 10 tasks" in row["sees"]["unknown"]
    assert "boxes that others drew" in row["noise"]["unknown"]
    put(store, [drawn(t, 9, [box(40, 40, 20, 20)], ground_truth=True) for t in range(1, 40, 2)])
    rows = rows_of(store)
    assert rows.keys() == {3}  # whose ground truth it is is not rated
    assert rows[3]["tasks"] == 20
    assert rows[3]["sees"]["rate"] < 0.85
    assert rows[3]["noise"]["scale"] > 0


def test_what_was_drawn_over_a_prediction_says_nothing(store):
    guess = prediction([box(40, 40, 20, 20, id="b"), point(50, 50)], id=5)
    put(store, [
        drawn(task, person, guess["result"], prediction=guess, parent_prediction=5)
        for task in range(30) for person in (1, 2, 3)
    ])  # fmt: skip
    found = rate_annotators(store, PROJECT)
    assert (found["annotators"], found["not_counted"]) == ([], 90)


def test_boxes_of_another_thing_are_no_noise(store):
    put(store, team(80, misses=(0, 0, 0)))
    before = rows_of(store)[2]["noise"]
    away = [drawn(t, 2, [box(5, 5, 20, 20)], second=9) for t in range(1, 20, 2)]
    put(store, away)  # changed their mind
    after = rows_of(store)[2]["noise"]
    assert (before["of_another_thing"], after["of_another_thing"]) == (0, 10)
    assert after["scale"] < 1.5 * before["scale"]


def test_who_draws_somewhere_is_told_so_though_no_noise_can_be(store):
    put(store, team(60, people=(1, 2), noise=(0.5, 2.0), misses=(0, 0)))
    put(store, [drawn(t, 3, [box(5, 5, 20, 20)]) for t in range(60)])
    arguments = ["qa", "annotators", "--project", "7", "--database", store.url]
    said = CliRunner().invoke(app, arguments).stdout
    assert "that others drew, too); 30 boxes were of another thing" in said


def test_where_nothing_is_known_of_a_kind_of_task_no_rate_is_given(store):
    put(store, [drawn(t, person, [box(40, 40, 20, 20)]) for t in range(40) for person in (1, 2)])
    row = rows_of(store)[1]
    assert (
        "no task that others did, too, where the action is not there"
        in (row["sees_absence"]["unknown"])
    )
    assert row["sees"]["low"] < row["sees"]["rate"] <= row["sees"]["high"]


def test_a_rate_lies_in_its_interval(store):
    put(store, team(12, misses=(0, 0, 1.0)))  # who never erred, and who always overlooks
    for row in rows_of(store).values():
        for found in (row["sees"], row["sees_absence"]):
            assert found["low"] <= found["rate"] <= found["high"]


def test_of_many_tasks_the_newest_count(store, monkeypatch):
    put(store, team(60))
    monkeypatch.setattr(annotators, "MOST_TASKS", 25)
    assert [row["tasks"] for row in rows_of(store).values()] == [25, 25, 25]


def test_two_people_alone_are_told_so(store):
    put(store, [one for one in team(80, misses=(0, 0, 0)) if one["completed_by"] != 3])
    assert "a third, or ground truth" in rows_of(store)[1]["noise"]["unknown"]


def test_the_command_says_it_in_words_and_in_json(store):
    put(store, team(100))
    arguments = ["qa", "annotators", "--project", "7", "--database", store.url]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert "Annotator 1, 100 tasks that others did, too:" in said.stdout
    assert "% of the box's side at each edge" in said.stdout
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [row["annotator"] for row in found["annotators"]] == [1, 2, 3]
