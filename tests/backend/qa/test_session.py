"""A session of 20 tasks with every outcome, its figures counted by hand."""

import json

from backend.qa.coco import coco_json
from backend.qa.metrics_page import metrics_text
from backend.qa.queries import summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.qa_events import annotation, box, created, deleted, point, prediction

POINT, BOX = point(30, 30), box(20, 20, 20, 20)
AWAY = box(60, 60, 20, 20)
KEPT = [POINT, BOX]


def session():
    reviews = {
        1: [KEPT], 2: [KEPT], 3: [KEPT], 4: [KEPT],  # accepted: four hits
        5: [[POINT, AWAY]],  # the box moved off the point: miss
        6: [[POINT, box(20, 20, 30, 20)]],  # resized: hit
        7: [[BOX]],  # the point deleted: miss
        8: [[POINT, box(25, 25, 9, 9, id="new")]],  # the box drawn anew: hit
        9: [[]],  # emptied: miss
        10: [[]],  # skipped
        11: [KEPT],  # in bulk: no review
        12: [[box(20, 20, 20, 20, id="own")]],  # independent: hit
        13: [[box(60, 60, 20, 20, id="own")]],  # independent: miss
        14: [[POINT, box(20, 20, 20, 20, label="other")]],  # relabelled: hit
        15: [KEPT, KEPT],  # two reviews, one hit
        16: [KEPT, [POINT, AWAY]],  # half of the reviews: hit
        17: [KEPT],  # deleted afterwards
        18: [KEPT, [POINT, AWAY]],  # the second is ground truth: miss
        19: [[BOX]],  # no prediction
        20: [KEPT],  # a prediction without region ids: hit
    }  # fmt: skip
    number = 0
    for task, made in reviews.items():
        for who, regions in enumerate(made, 1):
            number += 1
            guess = (
                [{k: v for k, v in r.items() if k != "id"} for r in KEPT] if task == 20 else KEPT
            )
            extra = {"prediction": prediction(guess, id=task), "parent_prediction": task}
            extra |= {"parent_prediction": None} if task in (12, 13, 19) else {}
            extra |= {"prediction": {}} if task == 19 else {}
            extra |= {"was_cancelled": True} if task == 10 else {}
            extra |= {"lead_time": None} if task == 11 else {}
            extra |= {"ground_truth": True} if (task, who) == (18, 2) else {}
            if task == 20:
                regions = [
                    {**r, "id": f"ls{k}", "origin": "prediction"} for k, r in enumerate(KEPT)
                ]
            yield created(annotation(number, regions, task=task, completed_by=who, **extra))
            if task == 17:
                yield deleted(number)


def test_the_figures_are_those_counted_by_hand(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    try:
        for event in session():
            store.append_event(event)
        found = build_report(store, Filters())
        counts = {name: (found[name]["hits"], found[name]["n"])
                  for name in ("headline", "accepted", "skipped")}  # fmt: skip
        # Misses: 5, 7, 9, 13, 18. Accepted: 1 to 4, 15 twice, 16 once, 20; of 16 started.
        assert counts == {"headline": (11, 16), "accepted": (8, 16), "skipped": (1, 22)}
        free = found["subsets"]["independent"]
        assert (free["hits"], free["n"]) == (1, 3)  # 12, 13 and the ground truth of 18
        assert (found["bulk"], found["without_prediction"]) == (1, 1)
        emptied = [s["task_id"] for s in found["audit"]
                   if any(r["reason"] == "emptied" for r in s["reasons"])]  # fmt: skip
        assert emptied == [9]
        assert (summary(store)["hits"], summary(store)["n"]) == (11, 16)
        assert 'videogem_qa_points{project="1",server=""} 16.0' in metrics_text(store).decode()
        assert 'videogem_qa_hits{project="1",server=""} 11.0' in metrics_text(store).decode()
        images = [i["label_studio_task"] for i in json.loads(coco_json(store, Filters()))["images"]]
        assert 9 in images and not {10, 11, 17} & set(images)
    finally:
        store.close()
