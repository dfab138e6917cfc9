"""Bulk acceptance: what is accepted, checked, withdrawn and taken back; each once."""

import json
import logging
import threading
import time
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.label_studio.client import LabelStudioError
from backend.qa import sync
from backend.qa.estimates import bulk
from backend.qa.estimates.accepting import (
    active_rule,
    end,
    follow,
    last_rule,
    look,
    start_rule,
    watch,
)
from backend.qa.estimates.rules import Taken, counts, rules, taken
from backend.qa.queries import score_rows, summary
from backend.qa.store import Store
from tests.fake_acceptance import CutOffError, FakeBulk
from tests.http_server import Answer, http_server
from tests.qa_acceptance import check_migration_of_0010
from tests.qa_events import point, prediction
from tests.review_world import PROJECT, stored_project
from videogem.errors import InputError

REVIEWED = range(0, 500, 3)
PROMISE = {"precision": 0.95, "confidence": 0.9}


def quiet(done, total):
    """Nobody is told."""


@pytest.fixture
def made(store):
    """500 tasks, nearly all right; a third is reviewed without a prediction in sight."""
    project = stored_project(store, 500, accuracy=0.985, auroc=0.9)
    project.review(REVIEWED)
    return project


def api_of(made):
    api = FakeBulk(made.made.scores)
    for task in REVIEWED:
        api.annotate(task)
    return api


def ruled(store, share=0.1):
    return start_rule(store, PROJECT, look(store, PROJECT, **PROMISE), share=share, **PROMISE)


def test_sure_predictions_are_accepted_but_for_a_share_that_people_check(store, made):
    api = api_of(made)
    rule, accepted = follow(store, api, PROJECT, ruled(store), quiet)
    found = counts(store, rule)
    assert accepted == found["made"] == len(api.made())
    wanted = {t for t, s in made.made.scores.items() if s >= rule.least_score and t % 3}
    tasks = {state: {row["task_id"] for row in taken(store, rule, state)} for state in Taken}
    assert tasks[Taken.check] | tasks[Taken.made] == wanted
    assert 0.03 < len(tasks[Taken.check]) / len(wanted) < 0.18
    assert not any(api.annotations[task] for task in tasks[Taken.check])
    [tab] = api.views.values()
    assert tab["title"] == f"Spot checks {rule.id}"
    assert tab["filters"]["items"][0]["value"] == sorted(tasks[Taken.check])
    # Once more: nothing is left to do.
    assert follow(store, api, PROJECT, rule, quiet)[1] == 0
    assert len(api.made()) == accepted


def test_accepted_ones_count_nowhere_among_the_figures(store, made):
    api = api_of(made)
    before = summary(store, PROJECT)
    rule, _ = follow(store, api, PROJECT, ruled(store), quiet)
    bulk_tasks = [row["task_id"] for row in taken(store, rule, Taken.made)][:20]
    made.review(bulk_tasks, "bulk")  # the events that Label Studio sends of them
    assert summary(store, PROJECT) == before
    outcomes = {r["outcome"] for r in score_rows(store, PROJECT) if r["task_id"] in bulk_tasks}
    assert outcomes == {"bulk"}


def test_tasks_that_come_later_follow_the_rule_without_a_new_look(store, made):
    api = api_of(made)
    rule, _ = follow(store, api, PROJECT, ruled(store), quiet)
    late = prediction([point(50, 50)], version="m1")
    store.record_all(PROJECT, [(task, {**late, "score": 1.0}) for task in range(2000, 2100)])
    api.predictions |= FakeBulk(dict.fromkeys(range(2000, 2100), 1.0)).predictions
    api.annotations |= {task: [] for task in range(2000, 2100)}
    rule, accepted = follow(store, api, PROJECT, rule, quiet)
    checks = [row["task_id"] for row in taken(store, rule, Taken.check) if row["task_id"] >= 2000]
    assert accepted + len(checks) == 100
    assert 2 <= len(checks) <= 25
    [tab] = api.views.values()  # the same tab holds them
    assert set(checks) <= set(tab["filters"]["items"][0]["value"])
    api.views.clear()  # somebody closed it
    follow(store, api, PROJECT, rule, quiet)
    assert len(api.views) == 1


def test_what_people_did_meanwhile_is_left_to_them(store, made):
    api = api_of(made)
    rule = ruled(store, share=0.001)
    sure = [t for t, s in sorted(made.made.scores.items()) if s >= rule.least_score and t % 3]
    annotated, twice, gone, lower = sure[:4]
    api.annotate(annotated)
    api.predictions[twice] *= 2
    api.predictions[gone] = []
    api.predictions[lower][0]["score"] = rule.least_score - 0.1
    rule, _ = follow(store, api, PROJECT, rule, quiet)
    left = {row["task_id"] for row in taken(store, rule, Taken.left)}
    assert left == {annotated, twice, gone, lower} - {
        row["task_id"] for row in taken(store, rule, Taken.check)
    }
    assert not {a["task"] for a in api.made()} & left
    # Once more: they stay with the people, and nothing is taken twice.
    assert follow(store, api, PROJECT, rule, quiet)[1] == 0
    assert {row["task_id"] for row in taken(store, rule, Taken.left)} == left


def test_where_nothing_is_left_to_accept_label_studio_is_not_asked(store, made):
    # To Label Studio an empty list of tasks means all of them.
    api = api_of(made)
    rule = ruled(store)
    for task in made.made.scores:
        api.annotate(task)
    assert follow(store, api, PROJECT, rule, quiet)[1] == 0
    assert not api.made()


@pytest.mark.parametrize("after", [False, True])
def test_cut_off_at_any_call_it_goes_on_to_the_same_end(tmp_path, monkeypatch, after):
    monkeypatch.setattr(bulk, "AT_ONCE", 30)
    store = Store(f"sqlite:///{tmp_path}/cut.db")
    made = stored_project(store, 200, accuracy=1.0)
    made.review(range(0, 200, 3))
    rule = ruled(store)
    api = FakeBulk(made.made.scores)
    for task in range(0, 200, 3):
        api.annotate(task)
    api.cut_after = after
    cuts = 0
    while True:  # each time a call further than the last
        api.cut_at = len(api.calls) + cuts
        try:
            rule, _ = follow(store, api, PROJECT, rules(store, PROJECT)[0], quiet)
            break
        except CutOffError:
            cuts += 1
    assert cuts >= 5
    found = counts(store, rule)
    assert found["wanted"] == found["left"] == 0
    assert found["made"] == len(api.made()) == len({a["task"] for a in api.made()})
    assert {row["annotation_id"] for row in taken(store, rule, Taken.made)} == {
        a["id"] for a in api.made()
    }
    store.close()


def test_annotations_in_an_unknown_form_are_never_taken_for_somebody_elses(store, made):
    api = api_of(made)
    whole = api.tasks_of

    def bare(project, tasks):
        for page in whole(project, tasks):
            for task in page.tasks:
                task["annotations"] = [{"id": a["id"]} for a in task["annotations"]]
            yield page

    api.tasks_of = bare
    rule = ruled(store)
    with pytest.raises(LabelStudioError, match="form that is not known"):
        follow(store, api, PROJECT, rule, quiet)
    assert len(api.made()) > 50
    api.tasks_of = whole
    rule = rules(store, PROJECT)[0]
    follow(store, api, PROJECT, rule, quiet)
    assert counts(store, rule)["made"] == len(api.made())


def test_checks_that_contradict_withdraw_the_rule_and_say_so(store, made, caplog):
    api = api_of(made)
    rule, _ = follow(store, api, PROJECT, ruled(store), quiet)
    checks = [row["task_id"] for row in taken(store, rule, Taken.check)]
    made.review([t for t in checks if made.made.hits[t]][:5])
    [row] = watch(store, PROJECT)
    assert (row["state"], row["checks"]["done"], row["checks"]["wrong"]) == ("active", 5, 0)
    made.review([t for t in checks if made.made.hits[t]][5:11], "missed")
    with caplog.at_level(logging.WARNING):
        [row] = watch(store, PROJECT)
    assert row["state"] == "withdrawn"
    assert "6 of 11 spot checks found a miss" in row["reason"]
    assert "is withdrawn" in caplog.text
    assert active_rule(store, PROJECT, None) is None
    # Only a stricter threshold comes into question then.
    again = look(store, PROJECT, **PROMISE)
    assert again.number == 2
    assert again.found.least_score is None or again.found.least_score > rule.least_score


def test_a_running_backend_withdraws_by_itself(store, made, monkeypatch):
    rule, _ = follow(store, api_of(made), PROJECT, ruled(store), quiet)
    made.review([row["task_id"] for row in taken(store, rule, Taken.check)][:6], "missed")
    nothing = sync.SyncResult(PROJECT, 0, 0, 0, 0, 0, 0, 0)
    monkeypatch.setattr(sync, "sync_project", lambda *_: nothing)
    monkeypatch.setattr(sync, "START_S", 0.0)

    class Connections:
        def get(self, key):
            return SimpleNamespace(has_token=True)

    stop = threading.Event()
    thread = sync.keep_in_sync(store, Connections(), every_s=0, stop=stop)
    deadline = time.monotonic() + 20
    while rules(store, PROJECT)[0].state != "withdrawn":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop.set()
    store.sync_wanted.set()
    thread.join(timeout=10)


def test_exactly_what_the_rule_made_and_nobody_touched_is_taken_back(store, made):
    api = api_of(made)
    rule, accepted = follow(store, api, PROJECT, ruled(store), quiet)
    own = api.made()
    own[0]["updated_at"] = "later"
    own[1]["ground_truth"] = True
    by_hand = api.annotate(own[2]["task"])  # a second one, of a person
    api.annotations[own[3]["task"]].clear()  # somebody deleted it
    rule = end(store, api, PROJECT, rule, quiet)
    assert [a["id"] for a in api.made()] == [own[0]["id"], own[1]["id"]]
    assert by_hand in api.annotations[own[2]["task"]]
    assert all(len(api.annotations[task]) == 1 for task in REVIEWED)
    found = counts(store, rule)
    assert (found["touched"], found["removed"]) == (2, accepted - 2)
    assert rules(store, PROJECT)[0].state == "ended"
    with pytest.raises(InputError, match="no rule in force, and none has accepted"):
        last_rule(store, PROJECT, None, has_made=True)


def test_looking_at_the_same_reviews_again_is_no_new_look(store, made):
    assert [look(store, PROJECT, **PROMISE).number for _ in range(2)] == [1, 1]
    assert look(store, PROJECT, precision=0.9, confidence=0.9).number == 2
    made.review([1, 2, 3])
    assert look(store, PROJECT, **PROMISE).number == 3
    assert look(store, PROJECT, precision=0.9, confidence=0.9).number == 4


def test_what_cannot_be_asked_is_said(store, made):
    with pytest.raises(InputError, match="--precision must be between 0 and 1"):
        look(store, PROJECT, precision=95, confidence=0.9)
    with pytest.raises(InputError, match="--check must be a share"):
        ruled(store, share=0.0)


def test_what_was_taken_back_is_not_offered_to_be_taken_back(store, made, monkeypatch):
    api = api_of(made)
    rule, _ = follow(store, api, PROJECT, ruled(store), quiet)
    made.review([row["task_id"] for row in taken(store, rule, Taken.check)][:6], "missed")
    arguments = ["qa", "accept", "--project", "7", "--database", store.url]
    with http_server() as server:
        served(server, api)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", server.url)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "0123456789abcdef")
        withdrawn, undone = (
            CliRunner().invoke(app, [*arguments, *more]).stdout for more in ((), ("--undo",))
        )
    assert "withdrawn" in withdrawn and "--undo` deletes" in withdrawn
    assert "withdrawn" in undone and "--undo` deletes" not in undone
    assert "the next run looks for a stricter threshold" in undone


@pytest.mark.parametrize("option", ["--precision", "--confidence"])
def test_a_guarantee_of_nothing_is_refused_and_not_replaced_by_the_usual_one(store, made, option):
    arguments = ["qa", "accept", "--project", "7", "--database", store.url, "--dry-run"]
    done = CliRunner().invoke(app, [*arguments, option, "0"])
    assert f"{option} must be between 0 and 1" in str(done.exception)
    ruled(store)
    done = CliRunner().invoke(app, [*arguments, option, "0"])
    assert "before asking for another guarantee" in str(done.exception)


def test_the_table_of_accepted_tasks_comes_and_goes(tmp_path):
    check_migration_of_0010(f"sqlite:///{tmp_path}/old.db")


def served(server, api):
    """The fake behind HTTP."""

    def tasks(request):
        from urllib.parse import parse_qs

        [item] = json.loads(parse_qs(request.query)["query"][0])["filters"]["items"]
        [page] = api.tasks_of(7, item["value"])
        return Answer({"tasks": page.tasks, "total": page.total})

    def other(request):
        path = request.path + (f"?{request.query}" if "actions" in request.path else "")
        return Answer(api.call(request.method, path, json=request.body) or b"")

    server.routes["/api/tasks/"] = tasks
    server.fallback = other


def test_the_command_accepts_tells_and_takes_back(store, made, monkeypatch):
    api = api_of(made)
    with http_server() as server:
        served(server, api)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", server.url)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "0123456789abcdef")
        arguments = ["qa", "accept", "--project", "7", "--database", store.url]

        def run(*more):
            done = CliRunner().invoke(app, [*arguments, *more])
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            return done.exit_code, done.stdout

        code, said = run("--dry-run")
        assert code == 0
        assert "Nothing was changed" in said
        assert not api.made() and not rules(store, PROJECT)
        code, said = run("--json")
        row = json.loads(said)
        assert (code, row["look"]["number"], row["rule"]["state"]) == (0, 1, "active")
        assert row["accepted"] == row["rule"]["tasks"]["made"] == len(api.made()) > 100
        code, said = run()
        assert "in force" not in said
        assert "Rule 2, active: at least 95 % right with 90 % confidence" in said
        refused = CliRunner().invoke(app, [*arguments, "--precision", "0.8"])
        assert "Switch it off with --off" in str(refused.exception)
        code, said = run("--undo", "--dry-run")
        assert f"Accepted ({row['accepted']} annotations): {api.made()[0]['id']} " in said
        code, said = run("--undo")
        assert code == 0
        assert "ended" in said
        assert not api.made()


def test_the_command_says_why_none_is_accepted(store, monkeypatch):
    project = stored_project(store, 300, accuracy=0.6)
    project.review(range(0, 300, 3))
    arguments = ["qa", "accept", "--project", "7", "--database", store.url, "--dry-run"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "No threshold can be given for m1: of " in done.stdout
    assert "more reviews of such tasks are needed" in done.stdout


@pytest.mark.parametrize(
    ("per_video", "told"),
    [(100, "the project has tasks of 1 video"), (5, "the project has tasks of 20 videos")],
)
def test_of_tasks_of_few_videos_it_says_that_other_videos_are_needed(store, per_video, told):
    """More reviews of the same videos would change nothing: one of each counts."""
    project = stored_project(store, 100, accuracy=0.999, per_video=per_video)
    project.review(range(100))
    arguments = ["qa", "accept", "--project", "7", "--database", store.url, "--dry-run"]
    said = CliRunner().invoke(app, arguments).stdout
    assert "more reviews of such tasks, each of another video, are needed" in said
    assert told in said
    assert "Or each of the tasks that `videogem qa plan` draws counts" in said
