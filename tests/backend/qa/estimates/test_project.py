"""What an estimate rests on: the reviews of a store, and the plans it keeps."""

import json

from typer.testing import CliRunner

from backend.cli import app
from backend.qa.estimates.plan import draw
from backend.qa.estimates.population import read_population
from backend.qa.estimates.project import estimate_project
from backend.qa.estimates.rounds import keep, plans
from tests.qa_events import box, point, prediction
from tests.review_world import PROJECT, stored_project


def test_only_independent_reviews_count_and_the_others_are_told(store):
    made = stored_project(store, 120)
    made.review(range(10))
    made.review(range(10, 30), "accepted")
    made.review(range(30, 45), "edited")
    made.review(range(45, 70), "bulk")
    found = estimate_project(store, PROJECT)
    assert found.found.tasks == 120
    assert found.found.reviewed == 10
    assert found.found.accuracy is None
    assert found.found.needed == 20
    assert found.population.reviews == {
        "independent": 10, "accepted": 20, "edited": 15, "bulk": 25
    }  # fmt: skip


def test_predictions_that_nobody_reviewed_count_as_tasks(store):
    made = stored_project(store, 200)
    made.review(range(0, 200, 2))
    found = estimate_project(store, PROJECT).found
    assert (found.tasks, found.reviewed) == (200, 100)
    assert found.low <= made.made.accuracy <= found.high


def test_of_several_versions_the_one_in_use_counts(store):
    made = stored_project(store, 60)
    newer = prediction([point(50, 50)], version="m2")
    store.record_all(PROJECT, [(task, newer) for task in range(40)])
    made.review(range(40))
    found = estimate_project(store, PROJECT)
    assert found.population.model_version == "m2"
    assert found.population.other_versions == {"m1": 20}
    assert (found.found.tasks, found.found.accuracy) == (40, 1.0)  # reviewed all, all hit
    before = estimate_project(store, PROJECT, "m1")
    assert (before.found.tasks, before.found.reviewed) == (60, 40)
    assert before.found.accuracy < 1


def test_points_are_counted_as_the_figures_count_them(store):
    parts = [point(10, 10, id="v", label="verb"), point(50, 50, id="p"), box(40, 40, 20, 20)]
    store.record_all(PROJECT, [(1, prediction(parts)), (2, prediction([])),
                               (3, prediction([box(1, 1, 9, 9)]))])  # fmt: skip
    found = read_population(store, PROJECT)
    assert [(task.id, task.points) for task in found.tasks] == [(1, 1), (3, 1)]
    assert found.without_points == 1


def planned(store, made, budget, *, seed=0):
    """Draw a round and keep it; its tasks."""
    population = read_population(store, PROJECT)
    rounds = plans(store, PROJECT, "m1")
    hits = {t.id: t.hits for t in population.tasks if t.hits is not None}
    scores = {t.id: t.score for t in population.tasks}
    one = draw(scores, budget, rounds=rounds, hits=hits, seed=seed)
    keep(store, PROJECT, "plan", "m1",
         {"edges": one.edges, "members": one.members, "chosen": one.chosen})  # fmt: skip
    return one.tasks()


def test_a_plan_counts_once_it_is_done_and_then_alone(store):
    made = stored_project(store, 300)
    made.review([task for task, hit in made.made.hits.items() if hit][:60])  # picked: all hits
    tasks = planned(store, made, 80)
    assert estimate_project(store, PROJECT).basis == "independent"
    made.review(tasks[:50])
    half_done = estimate_project(store, PROJECT)
    assert half_done.basis == "independent"
    made.review(tasks[50:76])
    done = estimate_project(store, PROJECT)
    assert done.basis == "plan"
    assert done.planned == 80
    assert done.found.low <= made.made.accuracy <= done.found.high
    assert half_done.found.accuracy > done.found.accuracy


def test_reviews_that_saw_the_prediction_do_not_finish_a_plan(store):
    made = stored_project(store, 100)
    made.review(planned(store, made, 40), "accepted")
    assert estimate_project(store, PROJECT).basis == "independent"
    assert estimate_project(store, PROJECT).planned_reviewed == 0


def test_tasks_that_came_after_the_plan_are_not_covered(store):
    made = stored_project(store, 100)
    made.review(planned(store, made, 40))
    late = prediction([point(50, 50)], version="m1")
    store.record_all(PROJECT, [(task, late) for task in range(500, 520)])
    found = estimate_project(store, PROJECT)
    assert (found.found.tasks, found.not_covered) == (100, 20)


def test_the_command_says_it_in_words_and_in_json(store, tmp_path):
    made = stored_project(store, 200)
    made.review(range(0, 200, 2))
    arguments = ["qa", "estimate", "--project", "7", "--database", store.url]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert "Accuracy of all of them:" in said.stdout
    assert "95 % interval" in said.stdout
    row = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert row["tasks"] == 200
    assert row["low"] <= made.made.accuracy <= row["high"]
    assert row["reviews_for_2_percent"]["planned"] < row["reviews_for_2_percent"]["uniform"]
    unknown = CliRunner().invoke(app, [*arguments[:3], "9", *arguments[4:]])
    assert "There is no project 9; known: none." in str(unknown.exception)
