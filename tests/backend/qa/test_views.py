"""What is drawn over a frame: what one model version predicted, not what every other did."""

import pytest

from backend.database.keys import ProjectKey
from backend.qa.store import Store
from backend.qa.views import thumbnail
from tests.qa_events import annotation, box, created, point, prediction

SUSPECT = {"server": "", "annotation_id": 1, "item": 0}


@pytest.fixture
def store(tmp_path):
    """One task, drawn without a prediction in sight, that three versions point at."""
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    for number, version in enumerate(("v1", "v2", "v3"), 1):
        guess = prediction([point(10.0 * number, 50)], version=version)
        store.record_all(ProjectKey("", 1), [(1, guess)])
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)])))
    store.process_pending()
    yield store
    store.close()


def across(store, *versions):
    drawn = thumbnail(store, SUSPECT, versions or None)["predicted"]
    return [round(shape["point"][0]) for shape in drawn]


def test_a_frame_shows_what_the_version_in_use_predicted(store):
    assert across(store) == [30]


def test_of_two_versions_it_is_seen_which_is_which(store):
    drawn = thumbnail(store, SUSPECT, ("v3", "v1"))["predicted"]
    assert {round(each["point"][0]): each["second"] for each in drawn} == {30: False, 10: True}


def test_a_frame_shows_what_the_versions_that_are_asked_for_predicted(store):
    assert across(store, "v1") == [10]
    assert sorted(across(store, "v1", "v3")) == [10, 30]
