"""What people said of suspects: what counts, and what it says of the reasons."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.qa.audit import audit_reasons, find_suspects
from backend.qa.audit_items import Item
from backend.qa.exports import marks_csv
from backend.qa.figures import share
from backend.qa.marks import (
    LONGEST_NAME,
    ChangedError,
    Verdict,
    all_marks,
    digest,
    evidence,
    put_mark,
    weights,
)
from backend.qa.report import build_report
from backend.qa.selection import Filters
from tests.qa_events import annotation, box, created, point
from tests.qa_marks import (
    PROJECT,
    SERVER,
    check_marks,
    check_migration_of_0009,
    listed,
    place,
    send,
    tiny,
)
from videogem.errors import InputError


def test_a_mark_counts_until_the_annotation_is_another(store):
    check_marks(store)


def test_up_and_down_on_sqlite(tmp_path):
    check_migration_of_0009(f"sqlite:///{tmp_path}/qa.db")


def test_what_is_marked_must_be_what_was_seen(store):
    send(store, created(tiny(1)))
    seen = digest(tiny(1))
    send(store, created(tiny(1, second=2, size=0.4), "ANNOTATION_UPDATED"))
    with pytest.raises(ChangedError, match="Look at it again"):
        put_mark(store, place(1), Verdict.fine, seen=seen)
    assert all_marks(store) == []
    put_mark(store, place(1), Verdict.fine, seen=digest(tiny(1, size=0.4)))
    assert listed(store) == set()


def test_a_digest_is_of_the_regions_in_any_order():
    one, two = box(1, 2, 3, 4), point(5, 6)
    turned = dict(reversed(one.items()))
    assert digest(annotation(1, [one, two])) == digest(annotation(9, [two, turned], second=7))
    assert digest(annotation(1, [one])) != digest(annotation(1, [box(1, 2, 3, 5)]))


def test_what_cannot_be_marked_is_said(store):
    with pytest.raises(InputError, match="no annotation 7"):
        put_mark(store, place(7), Verdict.fine)
    with pytest.raises(InputError, match="no annotation"):
        put_mark(store, place(10**12), Verdict.fine)
    send(store, created(tiny(1)))
    with pytest.raises(InputError, match="frames"):
        put_mark(store, place(1)._replace(item=10**12), Verdict.fine)
    store.append_event(created(tiny(1)), "http://other.example")
    store.process_pending()
    with pytest.raises(InputError, match=r"other\.example, http://studio\.example"):
        put_mark(store, place(1)._replace(server=""), Verdict.fine)
    put_mark(store, place(1), Verdict.fine)
    [mark] = all_marks(store)
    assert mark["server"] == SERVER


def test_names_and_notes_of_any_kind_are_kept_as_far_as_they_fit(store):
    send(store, created(tiny(1)))
    put_mark(store, place(1), Verdict.fix, by="\0\ud800" + "é" * 500, note="=1+1\0\n" * 9000)
    [mark] = all_marks(store)
    assert len(mark["marked_by"]) == LONGEST_NAME
    [row] = csv.DictReader(io.StringIO(marks_csv([mark])))
    assert row["note"].startswith("'=1+1\n")
    assert (row["verdict"], row["annotation_id"], row["counts"]) == ("fix", "1", "True")


def test_marks_move_with_the_server_that_adopts_their_project(store):
    store.append_event(created(tiny(1)))
    store.process_pending()
    put_mark(store, place(1)._replace(server=""), Verdict.fine)
    store.adopt(SERVER)
    assert listed(store) == set()
    assert len(all_marks(store, PROJECT)) == 1


def marked(id, verdict, *reasons, seen="a"):
    key = {"server": "", "annotation_id": id, "item": 0, "seen": seen}
    return {**key, "verdict": verdict, "reasons": list(reasons)}


def test_the_last_word_on_each_state_of_an_annotation_is_evidence():
    found = evidence(
        [
            marked(1, "fine", "tiny"),
            marked(1, "fix", "tiny", "short-time"),  # another word on the same
            marked(1, "fine", "tiny", seen="b"),  # the mended annotation
            marked(2, "fix", "tiny"),
            marked(2, "open", "tiny"),  # taken back
            marked(3, "fix", "tiny"),
            marked(4, "fix"),  # of no reason
            marked(5, "fix", "a reason of some later version"),
        ]
    )
    assert found == {"tiny": share(2, 3), "short-time": share(1, 1)}


def test_the_report_tells_how_often_each_reason_was_right(store):
    send(store, *(created(tiny(id)) for id in range(1, 5)))
    for id, verdict in ((1, Verdict.fix), (2, Verdict.fix), (3, Verdict.fine)):
        put_mark(store, place(id), verdict, reasons=["tiny"])
    found = build_report(store, Filters(project=PROJECT))
    assert found["marks"] == {"fine": 1, "fix": 2, "evidence": {"tiny": share(2, 3)}}
    assert found["audit_counts"] == {"tiny": 1}
    elsewhere = build_report(store, Filters(project=PROJECT._replace(id=2)))
    assert elsewhere["marks"] == {"fine": 0, "fix": 0, "evidence": {}}


@given(st.dictionaries(st.sampled_from(sorted(audit_reasons())), st.tuples(
    st.integers(0, 400), st.integers(0, 400))))  # fmt: skip
def test_own_evidence_draws_what_is_assumed_towards_itself(counts):
    found = {code: share(fix, fix + fine) for code, (fix, fine) in counts.items() if fix + fine}
    for code, weight in weights(found).items():
        assumed, own = audit_reasons()[code].weight, found[code]["accuracy"]
        assert min(assumed, own) - 1e-9 <= weight <= max(assumed, own) + 1e-9
        if found[code]["n"] > 200:
            assert abs(weight - own) < 0.1
        if found[code]["n"] < 3:
            assert abs(weight - assumed) < 0.15


def test_a_reason_that_was_never_right_here_comes_last():
    size = (640, 480)
    whole = Item(id="1:0:", boxes=((0, 0, 640, 480),), size_wh=size)
    small = Item(id="2:0:", boxes=((9, 9, 12, 12),), size_wh=size)
    for wrong, first in (("whole-frame", "2:0:"), ("tiny", "1:0:")):
        learned = weights({wrong: share(0, 100)})
        assert find_suspects([whole, small], learned)[0].id == first


def large(id):
    return annotation(id, [box(0, 0, 100 - id / 100, 100 - id / 90)], task=id)


@pytest.mark.parametrize("wrong", ["tiny", "whole-frame"])
def test_the_list_is_ordered_by_what_was_learned(store, wrong):
    often, once = (tiny, large) if wrong == "tiny" else (large, tiny)
    send(store, created(once(1)), *(created(often(id)) for id in range(2, 100)))
    for id in range(2, 99):
        put_mark(store, place(id), Verdict.fine, reasons=[wrong])
    found = build_report(store, Filters(project=PROJECT))["audit"]
    assert [row["annotation_id"] for row in found] == [1, 99]
