"""Which predictions an annotation is measured against, and what a task with very many costs."""

import json
import random

import pytest

from backend.qa import candidates, scoring
from backend.qa.candidates import Candidates, is_independent
from backend.qa.events import Changes, prediction_row, read_annotation
from backend.qa.regions import read_result
from backend.qa.scoring import score_task
from tests.qa_events import annotation, box, point

AT = "2026-11-24T00:00:00.000000Z"


def predictions(*made):
    """Rows of predictions of one task, the oldest first."""
    rows = []
    for k, (regions, version) in enumerate(made):
        at = f"2026-11-2{k // 60 % 10}T00:{k % 60:02d}:00.000000Z"
        one = {"result": regions, "model_version": version, "id": k, "created_at": at}
        rows.append(prediction_row(one, task_id=1, project_id=1, received_at=at))
    return rows


def annotations(*made):
    changes = Changes()
    for one in made:
        read_annotation(one, changes, AT, 1, 1, "0")
    return [{**row, "deleted_at": None} for row in changes.annotations]


def searched(one, known):
    """The rule as its docstring says it."""
    newest = sorted(known, key=lambda p: (p["created_at"], p["key"]), reverse=True)
    parent = one["parent_prediction"]
    if parent is not None and (own := [p for p in newest if p["label_studio_id"] == parent]):
        return own[:1]
    ids = {r["id"] for r in one["result"]}
    shared = [len(ids & {r["id"] for r in p["result"]}) for p in newest]
    if max(shared, default=0):
        return [newest[shared.index(max(shared))]]
    versions = [p["model_version"] for p in newest]
    chosen = [p for k, p in enumerate(newest) if p["model_version"] not in versions[:k]]
    return chosen if is_independent(one) else chosen[:1]


@pytest.mark.parametrize("seed", range(200))
def test_they_are_found_as_a_plain_search_does(seed):
    chance = random.Random(seed)

    def regions(names):
        return [point(1, 1, id=name) for name in chance.sample(names, chance.randrange(4))]

    known = predictions(
        *((regions("abcdef"), chance.choice(["v1", "v2", ""])) for _ in range(chance.randrange(6)))
    )
    origin = chance.choice([{}, {"origin": "prediction"}])
    drawn = [{**region, **origin} for region in regions("cdefgh")]
    parent = chance.choice([None, None, chance.randrange(8)])
    [one] = annotations(annotation(1, drawn, parent_prediction=parent))
    assert Candidates(known).of(one) == searched(one, known)


def test_a_task_with_very_many_versions_and_annotations_makes_bounded_rows():
    """All pairs of 60 versions beside each of 40 annotations were 3 MB of some 40 kB."""
    known = predictions(*(([point(9, 9, id=f"p{k}")], f"v{k}") for k in range(60)))
    made = annotations(*(annotation(k, [box(1, 1, 9, 9)]) for k in range(40)))
    rows = score_task(None, made, known)
    compared = {row["data"]["model_version"] for row in rows}
    assert compared == {f"v{k}" for k in range(40, 60)}  # the newest
    assert len(rows) == 40 * 21
    assert sum(len(json.dumps(row["data"])) for row in rows) < 1_500_000


def test_rows_beyond_the_limit_are_counted_as_left_out(monkeypatch):
    monkeypatch.setattr(scoring, "MAX_FACTS", 25)
    known = predictions(([point(9, 9, id=f"p{k}") for k in range(10)], "v1"))
    rows = score_task(None, annotations(*(annotation(k, []) for k in range(4))), known)
    whole = [row["data"] for row in rows if row["data"]["kind"] == "annotation"]
    assert [row.get("left_out", 0) for row in whole] == [0, 0, 5, 10]
    assert len(rows) == 4 + 25


@pytest.mark.parametrize(("kept", "times"), [(10**9, 1), (0, 3)])
def test_a_prediction_is_read_once_or_a_few_times(monkeypatch, kept, times):
    read = []
    monkeypatch.setattr(candidates, "read_result", lambda one: read.append(1) or read_result(one))
    monkeypatch.setattr(candidates, "MAX_KEPT", kept)
    monkeypatch.setattr(candidates, "MAX_AGAIN", 2 * 5 * candidates.REGION_BYTES)
    known = predictions(([point(9, 9, id=f"p{k}") for k in range(5)], "v1"))
    rows = score_task(None, annotations(*(annotation(k, []) for k in range(6))), known)
    assert len(read) == times
    whole = [row["data"] for row in rows if row["data"]["kind"] == "annotation"]
    left_out = sum(row.get("left_out", 0) for row in whole)
    assert left_out == (0 if kept else 3 * 5)


def test_many_annotations_of_one_task_are_compared_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("backend.qa.agreement.MAX_EFFORT", 500)
    looked = []
    agreement = scoring.overlaps_of_task
    made = annotations(*(annotation(k, [box(1, 1, 9, 9)]) for k in range(300)))
    monkeypatch.setattr("backend.qa.agreement.agreement", lambda *_: looked.append(1) or 1.0)
    found = agreement(made, [])
    assert len(found) == 300
    assert len(looked) == 250  # two each
