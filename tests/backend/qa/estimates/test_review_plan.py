"""`videogem qa plan`: what is drawn is kept, shown in Label Studio, and used by the estimate."""

import json

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.qa.estimates.project import estimate_project
from backend.qa.estimates.review_plan import last_plan, plan_reviews, show_in_tab
from backend.qa.estimates.rounds import plans
from tests.http_server import Answer, http_server
from tests.review_world import PROJECT, stored_project
from videogem.errors import InputError


def test_rounds_are_kept_until_they_are_reviewed_and_the_next_looks_at_doubt(store):
    made = stored_project(store, 400, auroc=0.95)
    first = plan_reviews(store, PROJECT, 60, seed=1)
    assert first.strata == [6] * 10
    assert plans(store, PROJECT, "m1")[0].tasks() == first.tasks
    made.review(first.tasks[:30])
    with pytest.raises(InputError, match=r"Of the 60 tasks of round 1, 30 are reviewed"):
        plan_reviews(store, PROJECT, 60)
    assert last_plan(store, PROJECT).reviewed_already == 30
    made.review(first.tasks[30:])
    second = plan_reviews(store, PROJECT, 60, seed=2)
    assert second.number == 2
    assert not set(second.tasks) & set(first.tasks)
    assert max(second.strata[2:5]) > 2 * second.strata[9]
    made.review(second.tasks)
    found = estimate_project(store, PROJECT)
    assert (found.basis, found.found.reviewed) == ("plan", 120)
    assert found.found.low <= made.made.accuracy <= found.found.high


def test_a_dry_run_keeps_nothing(store):
    stored_project(store, 100)
    assert len(plan_reviews(store, PROJECT, 20, is_trial=True).tasks) == 20
    assert plans(store, PROJECT, "m1") == []
    with pytest.raises(InputError, match="No plan was drawn yet"):
        last_plan(store, PROJECT)


def test_what_cannot_be_drawn_is_said(store):
    with pytest.raises(InputError, match="Nothing was predicted"):
        plan_reviews(store, PROJECT, 20)
    made = stored_project(store, 40)
    with pytest.raises(InputError, match="at least one"):
        plan_reviews(store, PROJECT, 0)
    made.review(plan_reviews(store, PROJECT, 100).tasks)
    with pytest.raises(InputError, match="All 40 tasks were drawn"):
        plan_reviews(store, PROJECT, 10)


class Recorder:
    def __init__(self):
        self.calls = []

    def call(self, method, path, **options):
        self.calls.append((method, path, options["json"]))


def test_the_tab_filters_by_the_drawn_tasks(store):
    stored_project(store, 100)
    plan = plan_reviews(store, PROJECT, 5, seed=3)
    api = Recorder()
    show_in_tab(api, 7, plan)
    [(method, path, body)] = api.calls
    assert (method, path, body["project"]) == ("POST", "/api/dm/views/", 7)
    [only] = body["data"]["filters"]["items"]
    assert only["operator"] == "in_list"
    assert only["value"] == sorted(plan.tasks)
    assert body["data"]["title"] == "Review plan 1"


def test_the_command_draws_shows_again_and_makes_the_tab(store, monkeypatch):
    stored_project(store, 100)
    with http_server() as server:
        server.routes["/api/dm/views/"] = lambda request: Answer({"id": 3}, 201)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", server.url)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "0123456789abcdef")
        arguments = ["qa", "plan", "--project", "7", "--database", store.url, "--json"]
        drawn = CliRunner().invoke(app, [*arguments, "--budget", "10", "--tab"])
        assert drawn.exit_code == 0, drawn.output
        [tab] = [one.body for one in server.requests if one.path == "/api/dm/views/"]
        assert (one := tab["data"]["filters"]["items"][0])["operator"] == "in_list"
        assert len(one["value"]) == 10
    found = json.loads(drawn.stdout)
    assert len(found["tasks"]) == sum(found["strata"]) == 10
    assert json.loads(CliRunner().invoke(app, [*arguments, "--again"]).stdout) == found
    said = CliRunner().invoke(app, [*arguments[:-1], "--again"]).stdout
    assert "Round 1 of m1: 10 tasks, 0 of them reviewed already" in said
