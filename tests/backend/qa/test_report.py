"""Figures of a whole team: breakdowns, subsets, curves, annotators, exports."""

import csv
import io
import json

import pytest
from pycocotools.coco import COCO
from statsmodels.stats.proportion import proportion_confint

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa import exports
from backend.qa.coco import coco_json
from backend.qa.curve import ROLLING
from backend.qa.figures import mean
from backend.qa.metrics_page import metrics_text
from backend.qa.queries import score_rows, summary
from backend.qa.report import breakdown, build_report, macro
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.table import Table
from tests.backend.qa.test_figures import curve, pointing, row
from tests.qa_events import annotation, box, created, deleted, point, prediction, track
from tests.qa_world import team_events
from videogem.errors import InputError


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('team')}/qa.db")
    for event in team_events():
        store.append_event(event)
    store.process_pending()
    yield store
    store.close()


def by_hand(events):
    """Hits of the team's events, counted without the store."""
    last = {e["annotation"]["id"]: e["annotation"] for e in events}
    outcomes = {}
    for id, made in last.items():
        if made["was_cancelled"]:
            continue
        x, y = (made["prediction"]["result"][0]["value"][k] for k in "xy")
        boxes = [r["value"] for r in made["result"] if r["type"] == "rectanglelabels"]
        outcomes[id] = any(
            b["x"] - 1e-7 <= x <= b["x"] + b["width"] + 1e-7
            and b["y"] - 1e-7 <= y <= b["y"] + b["height"] + 1e-7
            for b in boxes
        )
    return outcomes


def test_headline_and_every_breakdown_agree_with_counting_by_hand(team):
    events = team_events()
    outcomes = by_hand(events)
    report = build_report(team, Filters())
    headline = report["headline"]
    assert (headline["n"], headline["hits"]) == (len(outcomes), sum(outcomes.values()))
    low, high = proportion_confint(headline["hits"], headline["n"], method="wilson")
    assert (headline["low"], headline["high"]) == pytest.approx((low, high))
    short = {name: headline[name] for name in ("n", "hits", "accuracy", "low", "high")}
    assert summary(team, ProjectKey("", 7)) == short

    made = {e["annotation"]["id"]: e for e in events}
    for name, value_of in {
        "annotator": lambda e: e["annotation"]["completed_by"],
        "model_version": lambda e: e["annotation"]["prediction"]["model_version"],
        "verb": lambda e: e["task"]["data"]["narration"].split()[0],
        "object": lambda e: e["task"]["data"]["narration"].split()[-1],
        "video": lambda e: e["task"]["data"]["image"].split("/")[-2],
    }.items():
        expected = {}
        for id, hit in outcomes.items():
            counts = expected.setdefault(value_of(made[id]), [0, 0])
            counts[0] += 1
            counts[1] += hit
        rows = {row["name"]: [row["n"], row["hits"]] for row in report["breakdowns"][name]}
        assert rows == expected, name


def test_subsets_and_acceptance(team):
    report = build_report(team, Filters(project=ProjectKey("", 7)))
    events = [e["annotation"] for e in team_events() if not e["annotation"]["was_cancelled"]]
    free = [a for a in events if a["parent_prediction"] is None or a["ground_truth"]]
    assert report["subsets"]["independent"]["n"] == len(free)
    seen = [a for a in events if a["parent_prediction"] is not None]
    kept = [a for a in seen if a["result"] == a["prediction"]["result"]]
    accepted = report["accepted"]
    assert (accepted["hits"], accepted["n"]) == (len(kept), len(seen))
    edited = [a for a in seen if a not in kept and not a["ground_truth"]]
    assert report["subsets"]["edited"]["n"] == len(edited)
    assert report["skipped"]["hits"] == 120 - len(events)


@pytest.mark.parametrize(
    ("filters", "project"),
    [({"annotator": "3"}, None), ({"verb": "cut"}, 7), ({"model_version": "m2"}, 7),
     ({"since": "2026-11-23", "until": "2026-11-23"}, 7), ({"label": "action"}, 7)],
)  # fmt: skip
def test_filters_select_the_rows_of_their_breakdown(team, filters, project):
    key = None if project is None else ProjectKey("", project)
    report = build_report(team, Filters(project=key, **filters))
    everything = build_report(team, Filters())
    for name, value in filters.items():
        if name in everything["breakdowns"]:
            rows = {str(row["name"]): row["n"] for row in everything["breakdowns"][name]}
            assert report["headline"]["n"] == rows[value]
            assert [str(r["name"]) for r in report["breakdowns"][name]] == [value]
    assert 0 < report["headline"]["n"] <= everything["headline"]["n"]


def test_filters_that_select_nothing_have_no_figures(team):
    report = build_report(team, Filters(project=ProjectKey("", 99), verb="fly"))
    assert report["headline"]["accuracy"] is None
    assert report["curve"] == []
    assert report["audit"] == []
    assert exports.report_html(report).startswith("<!doctype html>")


def test_a_project_that_is_no_number_is_refused():
    for text in ("x", "-1", "1.5", "²"):
        with pytest.raises(InputError, match="project"):
            Filters.of({"project": text})


def test_the_curve_ends_at_the_headline_and_rolls(team):
    report = build_report(team, Filters())
    last = report["curve"][-1]
    assert (last["n"], last["accuracy"]) == (
        report["headline"]["n"],
        report["headline"]["accuracy"],
    )
    rows = [r for r in score_rows(team) if r["counted"] and r["hit"] is not None][-ROLLING:]
    assert last["rolling"] == pytest.approx(sum(r["hit"] for r in rows) / ROLLING)


def test_a_long_curve_is_thinned_and_keeps_its_end():
    rows = [row(k % 3 > 0, k) for k in range(5000)]
    points = curve(rows)
    assert len(points) <= 420
    assert points[-1]["n"] == 5000


def test_macro_counts_each_label_the_same():
    rows = [row(True, k, label="a") for k in range(9)] + [row(False, 9, label="b")]
    assert pointing(rows)["accuracy"] == 0.9
    assert macro(breakdown(Table.of(rows), "label")) == 0.5
    assert macro([]) is None


def test_means_carry_their_number_and_interval():
    assert mean([]) == {"n": 0, "mean": None, "low": None, "high": None, "median": None}
    found = mean([1.0, None, 2.0, 3.0])
    assert (found["n"], found["mean"], found["median"]) == (3, 2.0, 2.0)
    assert found["low"] < 2 < found["high"]


def test_keypoint_projects_get_a_distance_and_no_pointing_accuracy(store):
    for i, dx in enumerate([0, 1, 3, 20], 1):
        guess = prediction([point(40, 40)], id=i)
        made = annotation(i, [point(40 + dx, 40)], task=i, prediction=guess, parent_prediction=i)
        store.append_event(created(made))
    report = build_report(store, Filters(), tolerance=5.0)
    assert report["headline"]["n"] == 0
    assert (report["keypoints_only"]["n"], report["keypoints_only"]["hits"]) == (4, 3)
    assert report["distance"]["diagonal"]["n"] == 4


def test_what_was_deleted_with_its_box_is_a_miss_and_in_no_other_figure(store):
    guess = [point(40, 40), box(30, 30, 20, 20)]
    for i, left in enumerate([[], [point(40, 40)]], 1):
        made = annotation(i, left, task=i, prediction=prediction(guess, id=i), parent_prediction=i)
        store.append_event(created(made))
    report = build_report(store, Filters(), tolerance=5.0)
    assert (report["headline"]["hits"], report["headline"]["n"]) == (0, 1)
    assert report["keypoints_only"]["n"] == 1  # the kept one, whose box is gone


def test_honeypots_compare_with_ground_truth(store):
    for task in range(1, 4):
        truth = annotation(task, [box(20, 20, 20, 20)], task=task, ground_truth=True)
        store.append_event(created({**truth, "completed_by": 9}))
        careful = annotation(10 + task, [box(21, 20, 20, 20)], task=task, completed_by=1)
        careless = annotation(20 + task, [box(60, 60, 20, 20)], task=task, completed_by=2)
        store.append_event(created(careful))
        store.append_event(created(careless))
    table = {r["annotator"]: r for r in build_report(store, Filters())["annotators"]}
    assert table[1]["ground_truth"]["accuracy"] == 1
    assert table[2]["ground_truth"]["accuracy"] == 0
    assert table[9]["ground_truth"]["n"] == 0


def test_the_audit_lists_the_team_s_mistakes_with_links_to_their_tasks(team):
    report = build_report(team, Filters(project=ProjectKey("", 7)))
    found = {s["annotation_id"]: {r["reason"] for r in s["reasons"]} for s in report["audit"]}
    kinds = {0: "zero-area", 1: "out-of-canvas", 2: "whole-frame", 3: "tiny"}
    for event in team_events():
        made = event["annotation"]
        if made["id"] % 10 == 0 and not made["was_cancelled"] and made["id"] % 11:
            assert kinds[made["id"] // 10 % 4] in found[made["id"]], made["id"]
    assert all(s["task_id"] == 1000 + s["annotation_id"] for s in report["audit"])
    lazy = [
        s for s in report["audit"] if any(r["reason"] == "always-accepts" for r in s["reasons"])
    ]
    assert {s["annotator"] for s in lazy} == {5}


def test_csv_has_a_line_per_region_and_no_formulas(team, store):
    rows = list(
        csv.DictReader(io.StringIO(exports.regions_csv(team, Filters(project=ProjectKey("", 7)))))
    )
    assert len(rows) == len(score_rows(team, ProjectKey("", 7)))
    assert (
        sum(row["hit"] == "True" for row in rows)
        == build_report(team, Filters())["headline"]["hits"]
    )
    store.append_event(created(annotation(1, [box(1, 1, 2, 2)]), narration="=cmd()"))
    text = exports.regions_csv(store, Filters())
    assert "'=cmd()" in text
    assert ",=cmd" not in text


def test_coco_is_read_by_pycocotools(team, tmp_path):
    path = tmp_path / "coco.json"
    path.write_text(coco_json(team, Filters(project=ProjectKey("", 7))))
    coco = COCO(str(path))
    kept = [e["annotation"] for e in team_events() if not e["annotation"]["was_cancelled"]]
    assert len(coco.getAnnIds()) == len(kept)
    assert len(coco.getImgIds()) == len(kept)
    one = next(a for a in coco.dataset["annotations"] if a["label_studio_annotation"] == 11)
    value = next(a for a in kept if a["id"] == 11)["result"][0]["value"]
    expected = [value["x"] * 6.4, value["y"] * 3.6, value["width"] * 6.4, value["height"] * 3.6]
    assert one["bbox"] == pytest.approx(expected, abs=0.01)
    assert coco.loadImgs(one["image_id"])[0]["width"] == 640


def test_coco_cuts_boxes_keeps_empty_images_and_has_points_as_keypoints(store):
    guess = [point(30, 30), box(20, 20, 20, 20)]
    reviews = {
        1: [point(30, 30), box(90, -10, 30, 20)],  # leaves the frame on two sides
        2: [],
        3: [point(70, 110, id="alone", label="other")],
    }
    for i, regions in reviews.items():
        made = annotation(i, regions, task=i, prediction=prediction(guess, id=i),
                          parent_prediction=i)  # fmt: skip
        data = {"frame": f"https://host/a:b/../frame {i}.jpg?token=secret"}
        store.append_event(created(made, **data))
    skipped = annotation(4, [], task=4, was_cancelled=True, prediction=prediction(guess, id=4))
    store.append_event(created(skipped))
    found = json.loads(coco_json(store, Filters()))
    assert [image["label_studio_task"] for image in found["images"]] == [1, 2, 3]
    assert {image["file_name"] for image in found["images"]} == {
        f"a_b/frame {i}.jpg" for i in (1, 2, 3)
    }
    assert found["images"][1]["width"] == 640
    first, second = found["annotations"]
    assert first["bbox"] == [576, 0, 64, 36]  # 90 to 100 % of 640, 0 to 10 % of 360
    assert (first["keypoints"], first["num_keypoints"]) == ([192, 108, 2], 1)
    assert (second["bbox"], second["keypoints"]) == ([448, 360, 0, 0], [448, 360, 2])
    assert [c["keypoints"] for c in found["categories"]] == [["point"], ["point"]]


def test_coco_names_each_frame_of_a_list_and_of_a_video(store):
    frames = [f"/data/local-files/?d=clip/{k}.jpg" for k in range(3)]
    made = annotation(1, [box(1, 1, 9, 9, item_index=2), box(1, 1, 9, 9, id="b", item_index=0)])
    store.append_event(created(made, frames=frames))
    key = {"frame": 7, "x": 1, "y": 1, "width": 9, "height": 9, "enabled": True}
    store.append_event(created(annotation(2, [track([key])], task=2), video="/data/up/one.mp4"))
    names = [image["file_name"] for image in json.loads(coco_json(store, Filters()))["images"]]
    assert sorted(names) == ["clip/0.jpg", "clip/2.jpg", "up/one_000007.jpg"]


def test_an_emptied_annotation_is_a_suspect(store):
    for i, regions in {1: [], 2: [box(20, 20, 20, 20)]}.items():
        guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=i)
        store.append_event(
            created(annotation(i, regions, task=i, prediction=guess, parent_prediction=i))
        )
    skipped = annotation(
        3, [], task=3, was_cancelled=True, prediction=prediction([point(1, 1)], id=3)
    )
    store.append_event(created(skipped))
    report = build_report(store, Filters())
    emptied = [s for s in report["audit"] if s["reasons"][0]["reason"] == "emptied"]
    assert [s["annotation_id"] for s in emptied] == [1]
    assert "2 predicted" in emptied[0]["reasons"][0]["detail"]
    assert exports.report_html(report)


def test_the_report_file_holds_everything_itself(team):
    text = exports.report_html(build_report(team, Filters()))
    assert "src=" not in text.split("<main>")[1].split("</main>")[0]
    assert "<link" not in text.split("<script")[0]
    assert json.dumps(exports.plain(build_report(team, Filters())))
    assert "86.7\xa0%" in text


def test_texts_from_outside_cannot_become_markup(store):
    evil = "</script><script>alert(1)</script>"
    guess = prediction([point(30, 30, label=evil)], id=1, version=evil)
    store.append_event(
        created(annotation(1, [box(0, 0, 100, 100, label=evil)], prediction=guess), narration=evil)
    )
    assert "<script>alert" not in exports.report_html(build_report(store, Filters()))


def test_added_regions_are_no_part_of_what_became_of_predictions(store):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=1)
    regions = [*guess["result"], box(60, 60, 9, 9, id="a"), box(70, 70, 9, 9, id="b")]
    store.append_event(created(annotation(1, regions, prediction=guess, parent_prediction=1)))
    outcomes = {row["outcome"]: row for row in build_report(store, Filters())["outcomes"]}
    assert (outcomes["accepted"]["hits"], outcomes["accepted"]["n"]) == (2, 2)
    assert (outcomes["added"]["hits"], outcomes["added"]["accuracy"]) == (2, None)


def test_bulk_annotations_stand_apart_everywhere(store):
    for i in range(1, 5):
        guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=i)
        made = annotation(i, guess["result"], task=i, prediction=guess, parent_prediction=i)
        store.append_event(created({**made, "lead_time": None} if i > 1 else made))
    report = build_report(store, Filters())
    assert (report["headline"]["n"], report["bulk"]) == (1, 3)
    assert (report["accepted"]["hits"], report["accepted"]["n"]) == (1, 1)
    (annotator,) = report["annotators"]
    assert (annotator["annotations"], annotator["bulk"]) == (1, 3)
    assert (annotator["accepted"]["n"], annotator["pointing"]["n"]) == (1, 1)
    assert 'outcome="bulk",project="1",server=""} 3.0' in metrics_text(store).decode()
    assert "accuracy" not in report["subsets"]


def test_metrics_are_in_prometheus_form(team):
    text = metrics_text(team).decode()
    headline = build_report(team, Filters())["headline"]
    assert f'videogem_qa_points{{project="7",server=""}} {headline["n"]}.0' in text
    assert 'videogem_qa_inbox{state="waiting"} 0.0' in text


def test_deleted_annotations_leave_every_table(store):
    for i in (1, 2):
        guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=i)
        store.append_event(
            created(annotation(i, guess["result"], task=i, prediction=guess, parent_prediction=i))
        )
    store.append_event(deleted(1))
    report = build_report(store, Filters())
    assert report["headline"]["n"] == 1
    assert report["annotators"][0]["annotations"] == 1
    assert len(json.loads(coco_json(store, Filters()))["annotations"]) == 1
    assert len(store.rows(schema.annotations)) == 2  # the tombstone stays


def test_the_report_shows_its_suspects_with_pictures_inside(team, tmp_path):
    found = build_report(team, Filters())
    fine = {"picture": "data:image/jpeg;base64,AAAA", "link": "http://studio/projects/7/data?task=1",
            "predicted": [{"point": [30, 30]}], "corrected": [], "size": (640, 360)}  # fmt: skip
    cards = [{**found["audit"][0], **fine}, {**found["audit"][1], **fine, "picture": None}]
    text = exports.report_html(found, cards)
    body = text.split("<main>")[1].split("</main>")[0]
    assert body.count('src="data:image/jpeg') == body.count("src=") == 1
    assert body.count('href="http://studio/projects/7/data?task=1"') == 2
    assert "1 of 2 pictures could not be had" in body
    assert "@media print" in text
    assert '"reliability":' in text
    assert f"{len(found['audit'])} suspects" in body
