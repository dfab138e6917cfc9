"""Events made to break the store: sizes that lie, numbers without bound, text no database takes."""

import base64
import io
import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from backend.database import schema
from backend.database.turns import alone
from backend.labeling.masks import bitmask_url, brush_rle
from backend.labeling.shapes import number
from backend.qa import exports
from backend.qa.coco import coco_json
from backend.qa.metrics_page import metrics_text
from backend.qa.regions import overlap, read_region
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.times import normalise
from tests.qa_events import annotation, box, created, point, prediction, track

GIGABYTES = [0xFF, 0xFF, 0xFF, 0xFF, 0x3B, 0xFF, 0xF8, *[0] * 60]
HUGE = (1e308, -1e308, 1e200, float("nan"), float("inf"), 2**70, 10**400)


def brush(rle, width=640, height=360):
    return {
        "id": "b", "type": "brushlabels", "from_name": "brush", "to_name": "frame",
        "original_width": width, "original_height": height,
        "value": {"format": "rle", "rle": rle, "brushlabels": ["action"]},
    }  # fmt: skip


def all_pages(store):
    """What the page and its downloads are made of."""
    report = build_report(store, Filters())
    exports.report_html(report)
    exports.regions_csv(store, Filters())
    coco_json(store, Filters())
    json.dumps(exports.plain(report), allow_nan=False)
    metrics_text(store)
    return report


@pytest.mark.parametrize(
    ("width", "height"), [(640, 360), (65535, 16384), (10**6, 10**6), (1e308, 1), (-1, -1)]
)
def test_run_lengths_that_promise_gigabytes_ask_for_no_memory(width, height):
    tracemalloc.start()
    try:
        assert read_region(brush(GIGABYTES, width, height), {}) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024**2


def test_a_png_larger_than_any_frame_is_not_unpacked():
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    value = {"imageDataURL": url, "bitmasklabels": ["a"]}
    assert read_region({"type": "bitmasklabels", "value": value}, {}) is None


@pytest.mark.parametrize("seed", range(5))
def test_masks_are_read_as_they_were_written(seed):
    random = np.random.default_rng(seed)
    mask = random.random((36, 64)) < (0.02, 0.3, 0.5, 0.9, 0.0)[seed]
    mask[5:20, 8:40] = True
    region = read_region(brush(brush_rle(mask), 64, 36), {})
    assert (region.mask == mask).all()
    value = {"imageDataURL": bitmask_url(mask), "bitmasklabels": ["a"]}
    again = read_region({"type": "bitmasklabels", "value": value}, {})
    assert (again.mask == mask).all()
    assert overlap(region, again) == 1.0


def test_comparing_masks_takes_memory_of_their_size():
    mask = np.zeros((2160, 3840), bool)
    mask[100:2000, 200:3000] = True
    first = read_region(brush(brush_rle(mask), 3840, 2160), {})
    second = read_region(box(5, 5, 70, 80), {})
    tracemalloc.start()
    try:
        shared = overlap(first, second)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 < shared < 1
    assert peak < 8 * mask.size


@pytest.mark.parametrize("value", HUGE, ids=str)
def test_numbers_without_bound_are_none(value):
    assert number(value) is None


@pytest.mark.parametrize("value", HUGE, ids=lambda v: str(v)[:10])
def test_an_event_with_numbers_without_bound_breaks_no_page(store, value):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=7)
    guess["score"] = value
    keys = [{"frame": value, "x": value, "y": 1, "width": 5, "height": 5, "enabled": True}]
    regions = [
        point(value, 30), box(value, 1, value, 5, id="b2", rotation=value), track(keys),
        {**box(1, 1, 5, 5, id="b3"), "original_width": value, "item_index": value},
    ]  # fmt: skip
    for id, lead in ((1, value), (2, 5.0), (3, value)):
        made = annotation(id, regions, prediction=guess, lead_time=lead, second=id)
        store.append_event(created(made, time=value))
    store.append_event(created({**annotation(4, [box(1, 1, 5, 5)]), "completed_by": value}))
    store.append_event(created({**annotation(5, []), "id": value, "task": value}))
    store.process_pending()
    assert store.inbox_counts() == {"events": 5, "waiting": 0, "failed": 0}
    assert all_pages(store)["unreadable"] == 0


def test_rows_of_an_older_version_break_no_page_and_are_counted(store):
    """What an earlier version wrote cannot be checked at intake any more."""
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=7)
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    store.process_pending()
    good = store.rows(schema.scores)[1]["data"]
    with store.write() as connection:
        for k, data in enumerate(
            ({**good, "distance_diagonal": 1e308}, {**good, "iou": "x"}, {}, [], {"at": 5},
             {**good, "point": [1e200, 1]}, {**good, "lead_time": -1e308}, {**good, "box": 7}),
        ):  # fmt: skip
            row = {
                "server": "",
                "annotation_id": 1,
                "position": 100 + k,
                "task_id": 1,
                "project_id": 1,
            }
            row |= {"counted": True, "hit": True, "data": data}
            connection.execute(schema.scores.insert().values(**row))
        lead = schema.annotations.update().values(lead_time=1e308)
        connection.execute(lead)
    report = all_pages(store)
    assert report["unreadable"] == 8
    assert report["headline"]["n"] == 1


def test_regions_beyond_the_limits_are_counted_on_the_page(store, monkeypatch):
    monkeypatch.setattr("backend.qa.regions.MAX_REGIONS", 3)
    guess = prediction([point(30, 30)], id=7)
    boxes = [box(20, 20, 20, 20, id=f"b{k}") for k in range(5)]
    store.append_event(created(annotation(1, boxes, prediction=guess)))
    store.process_pending()
    assert all_pages(store)["left_out"] == 2


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfff x", "é\0"])
def test_text_that_databases_refuse_is_taken(store, text):
    made = annotation(1, [point(30, 30, id=text, label=text)])
    event = {**created(made, narration=text, **{text: text}), text: text}
    event["project"] |= {"title": text, "label_config": f"<View>{text}</View>"}
    store.append_event(event)
    store.process_pending()
    assert store.inbox_counts() == {"events": 1, "waiting": 0, "failed": 0}
    assert all_pages(store)["unreadable"] == 0


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x"])
def test_times_at_the_ends_of_the_calendar_are_none(text):
    assert normalise(text) == ""


def test_payloads_nested_without_end_are_cut(store):
    deep: object = []
    for _ in range(300):
        deep = [deep]
    store.append_event({**created(annotation(1, [point(1, 1)])), "extra": deep})
    store.process_pending()
    assert store.inbox_counts()["failed"] == 0
    assert len(store.rows(schema.annotations)) == 1


def test_an_event_that_ends_the_process_is_set_aside_after_three_starts(tmp_path, monkeypatch):
    """Whatever kills the process next time is not known yet; that it comes again must not."""
    url = f"sqlite:///{tmp_path}/qa.db"

    class KilledError(BaseException):
        """Stands for a process that ends without a word."""

    def killing(payload, received_at):
        if payload["action"] == "POISON":
            raise KilledError
        return read_event(payload, received_at)

    from backend.qa.events import read_event

    monkeypatch.setattr("backend.qa.intake.read_event", killing)
    monkeypatch.setattr("backend.qa.intake.Intake._work", lambda _: None)
    first = Store(url)
    first.append_event({"action": "POISON"})
    first.append_event(created(annotation(1, [point(1, 1)])))
    first.close()
    for _ in range(3):
        store = Store(url)
        with pytest.raises(KilledError):
            store.process_pending()
        store.close()
    store = Store(url)
    store.process_pending()
    assert store.inbox_counts() == {"events": 2, "waiting": 0, "failed": 1}
    assert "ended 3 times" in store.rows(schema.inbox)[0]["error"]
    assert len(store.rows(schema.annotations)) == 1
    store.close()


def test_an_event_that_several_processes_begin_with_is_not_set_aside(tmp_path, monkeypatch):
    """They start together, as replicas do; none of them ended in it."""
    url = f"sqlite:///{tmp_path}/qa.db"
    monkeypatch.setattr("backend.qa.intake.Intake._work", lambda _: None)
    first = Store(url)
    first.append_event(created(annotation(1, [point(1, 1)])))
    others = [Store(url) for _ in range(6)]
    with alone(first.engine, "careful"):  # one has begun
        assert [other.process_pending() for other in others] == [0] * len(others)
    assert others[0].process_pending() == 1
    assert first.inbox_counts() == {"events": 1, "waiting": 0, "failed": 0}
    for store in (first, *others):
        store.close()


@pytest.mark.parametrize("name", ["id", "type", "from_name", "to_name", "origin", "parentID"])
@pytest.mark.parametrize("value", [[1], {"a": 1}, None, 1.5, True])
def test_regions_with_names_of_other_forms_break_no_page(store, name, value):
    regions = [{**box(20, 20, 20, 20), name: value}, box(30, 30, 9, 9, id="fine")]
    guess = prediction([*regions, point(30, 30)], id=7)
    store.append_event(created(annotation(1, regions, prediction=guess)))
    store.append_event(created(annotation(2, regions, task=1)))
    store.process_pending()
    assert store.inbox_counts() == {"events": 2, "waiting": 0, "failed": 0}
    assert all_pages(store)["unreadable"] == 0
