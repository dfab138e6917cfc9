"""Two versions side by side, targets, throughput and reliability, each counted by hand."""

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.database.keys import ProjectKey
from backend.database.servers import move
from backend.qa.compare import compared
from backend.qa.measures import Measure
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.targets import set_target, target_of
from tests.qa_events import annotation, box, created, point, prediction
from videogem.errors import InputError

ONE = ProjectKey("", 1)
RIGHT, WRONG = point(30, 30), point(80, 80)
TRUTH = box(20, 20, 20, 20, id="own")


def review(store, task, old, new, *, video=""):
    """One task that two versions pointed into and one person labelled without looking at either."""
    for version, dot in (("v1", old), ("v2", new)):
        store.record_all(ONE, [(task, prediction([dot], version=version))])
    store.append_event(created(annotation(task, [TRUTH], task=task), video_id=video))


def test_two_versions_are_compared_on_what_one_person_judged_both_on(store):
    for task in range(1, 13):
        review(store, task, WRONG if task < 10 else RIGHT, RIGHT)  # v2 alone hits nine of twelve
    review(store, 13, RIGHT, WRONG)
    own = prediction([WRONG], id=14, version="v1")  # started from v1: it leans to that one
    store.append_event(created(annotation(14, [WRONG, TRUTH], task=14, prediction=own,
                                          parent_prediction=14)))  # fmt: skip
    found = compared(store, Filters(), "v1", "v2")
    assert (found["first"], found["second"], found["n"]) == ("v1", "v2", 13)
    assert (found["first_hits"], found["second_hits"]) == (4, 12)
    assert (found["only_first"], found["only_second"]) == (1, 9)
    assert found["difference"] == pytest.approx(-8 / 13)
    # McNemar's exact test: 1 of 10 tosses or fewer, on both sides.
    assert found["p_value"] == pytest.approx(2 * 11 / 1024)
    assert found["better"] == "v2"
    differing = {row["task_id"]: (row["first"], row["second"]) for row in found["differing"]}
    assert differing == {**{task: (False, True) for task in range(1, 10)}, 13: (True, False)}
    assert {found["first"], found["second"]} == {
        build_report(store, Filters())["versions"][name] for name in ("first", "second")
    }


def test_frames_of_few_videos_do_not_tell_which_version_is_better(store):
    for task in range(1, 13):
        review(store, task, WRONG, RIGHT, video=f"clip{task % 3}")
    found = compared(store, Filters())
    assert (found["n"], found["clusters"], found["better"]) == (12, 3, None)
    assert "too few videos" in found["sentence"]


def test_a_version_that_is_not_known_is_named(store):
    review(store, 1, RIGHT, WRONG)
    with pytest.raises(InputError, match=r"no model version 'v3'; known: v"):
        compared(store, Filters(), "v3")
    assert compared(store, Filters(project=ProjectKey("", 9))) is None


def judged(store, hits, misses):
    for task in range(1, hits + misses + 1):
        guess = prediction([RIGHT if task <= hits else WRONG, TRUTH], id=task)
        made = annotation(task, guess["result"], task=task, prediction=guess,
                          parent_prediction=task)  # fmt: skip
        store.append_event(created(made))


@pytest.mark.parametrize(
    ("hits", "misses", "verdict"),
    # Wilson's intervals: 20 of 20 is .839 to 1, 18 of 20 .699 to .972, 10 of 20 .299 to .701.
    [(20, 0, "passed"), (18, 2, "unknown"), (10, 10, "failed"), (0, 0, "unknown")],
)
def test_a_target_is_passed_failed_or_unknown(store, hits, misses, verdict):
    judged(store, hits, misses)
    set_target(store, ONE, 0.8)
    assert build_report(store, Filters())["target"] is None  # it is one project's
    found = build_report(store, Filters(project=ONE))["target"]
    assert (found["verdict"], found["at_least"], found["figure"]["n"]) == (
        verdict, 0.8, hits + misses,
    )  # fmt: skip
    set_target(store, ONE, 0.8, Measure.independent)
    assert build_report(store, Filters(project=ONE))["target"]["verdict"] == "unknown"


def test_a_target_is_kept_moved_with_its_server_and_forgotten(store):
    with pytest.raises(InputError, match=r"0\.9 for 90 %, got 90"):
        set_target(store, ONE, 90)
    set_target(store, ONE, 0.9)
    with store.write() as connection:
        move(connection, "", "http://one.example")
    there = ProjectKey("http://one.example", 1)
    assert target_of(store, there) == {"at_least": 0.9, "of": "headline"}
    assert target_of(store, ONE) is None
    set_target(store, there, None)
    assert target_of(store, there) is None


def test_throughput_is_by_person_and_day(store):
    days = {1: "2026-11-23", 2: "2026-11-23", 3: "2026-11-24", 4: "2026-11-24", 5: "2026-11-24"}
    for id, day in days.items():
        guess = prediction([RIGHT, TRUTH], id=id)
        made = annotation(
            id, [] if id == 2 else guess["result"], task=id, prediction=guess,
            parent_prediction=id, completed_by=1 if id < 5 else 2, was_cancelled=id == 2,
            lead_time={1: 30.0, 2: 10.0, 3: 40.0, 4: None, 5: 90.0}[id],
        )  # fmt: skip
        store.append_event(created({**made, "updated_at": f"{day}T08:00:0{id}Z"}))
    rows = build_report(store, Filters())["throughput"]
    # Annotation 4 has no working time and is what was predicted: made in bulk.
    assert rows == [
        {"annotator": 1, "day": "2026-11-24", "annotations": 1, "skipped": 0, "timed": 1,
         "seconds": 40.0, "per_hour": 90.0},
        {"annotator": 2, "day": "2026-11-24", "annotations": 1, "skipped": 0, "timed": 1,
         "seconds": 90.0, "per_hour": 40.0},
        {"annotator": 1, "day": "2026-11-23", "annotations": 2, "skipped": 1, "timed": 2,
         "seconds": 40.0, "per_hour": 180.0},
    ]  # fmt: skip


def test_the_hit_rate_by_score_has_as_many_points_in_each_bin(store):
    for task in range(1, 41):
        score = task / 40
        dot = point(30, 30, score=score) if task > 20 else point(80, 80, score=score)
        guess = prediction([dot, TRUTH], id=task)
        made = annotation(task, guess["result"], task=task, prediction=guess,
                          parent_prediction=task)  # fmt: skip
        store.append_event(created(made))
    bins = build_report(store, Filters())["reliability"]
    assert [row["n"] for row in bins] == [4] * 10
    assert [row["hits"] for row in bins] == [0] * 5 + [4] * 5
    assert (bins[0]["least"], bins[-1]["most"]) == (1 / 40, 1.0)
    assert bins[0]["mean_score"] == pytest.approx(2.5 / 40)
    assert bins[0]["low"] == 0 < bins[0]["high"] < 0.5


def test_targets_and_versions_on_the_command_line(store, tmp_path):
    judged(store, 10, 10)
    for task in (31, 32):
        review(store, task, WRONG, RIGHT)
    store.process_pending()

    def run(*words):
        return CliRunner().invoke(app, ["qa", *words, "--database", store.url])

    nothing = run("target", "--project", "1")
    assert (nothing.exit_code, nothing.output.count("no quality target")) == (0, 1)
    failed = run("target", "--project", "1", "--at-least", "0.8")
    assert failed.exit_code == 1
    assert "Project 1: failed: at least 80.0 %; 54.5 % of 22 points" in failed.output
    unknown = run("target", "--project", "1", "--at-least", "0.6")
    assert (unknown.exit_code, unknown.output.count("unknown")) == (0, 1)
    shown = run("compare", "--first", "v1", "--second", "v2")
    assert "task 31 action: only v2 hits" in shown.output
    cleared = run("target", "--project", "1", "--clear")
    assert "no quality target" in cleared.output


@pytest.mark.parametrize("command", ["target", "estimate", "plan"])
def test_a_project_that_is_not_there_is_told(store, command):
    judged(store, 1, 1)
    found = CliRunner().invoke(app, ["qa", command, "--project", "9", "--database", store.url])
    assert "There is no project 9" in str(found.exception)
