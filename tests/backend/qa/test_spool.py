"""What comes while the database is locked or gone is on the disk before it is acknowledged."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import patience
from backend.database.keys import ProjectKey
from backend.qa import store as store_module
from backend.qa.queries import summary
from backend.qa.spool import NotKeptError, Spool
from backend.qa.store import Store
from backend.web.checks import spooled
from tests.qa_events import annotation, box, created, point, prediction

ONE = ProjectKey("", 1)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", segment=200)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/qa.db", tmp_path / "spool")
    yield store
    store.close()


def taken(spool: Spool) -> list[Any]:
    found: list[Any] = []
    spool.drain(found.extend)
    return found


@contextmanager
def locked_by_another(path: Path, mode: str = "IMMEDIATE") -> Iterator[None]:
    """Hold SQLite's write lock as a backup or a second process may."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {mode}")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def event(number: int) -> dict[str, Any]:
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=number)
    made = annotation(number, [box(20, 20, 20, 20)], task=number, prediction=guess)
    return created(made)


def test_entries_come_out_in_the_order_they_went_in(spool: Spool) -> None:
    assert not spool.holds()
    for number in range(50):
        spool.add({"n": number, "text": "tomäto\n" * 5})
    assert spool.holds()
    assert len(list(spool.folder.glob("*.jsonl"))) > 5
    assert [entry["n"] for entry in taken(spool)] == list(range(50))
    assert not spool.holds()
    assert taken(spool) == []


def test_what_could_not_be_handed_over_waits_on(spool: Spool) -> None:
    for number in range(9):
        spool.add({"n": number, "text": "x" * 60})
    seen: list[int] = []

    def fails_later(entries: Any) -> None:
        if seen:
            raise OSError("the database is gone")
        seen.extend(entry["n"] for entry in entries)

    with pytest.raises(OSError, match="gone"):
        spool.drain(fails_later)
    assert seen + [entry["n"] for entry in taken(spool)] == list(range(9))


def test_half_a_line_costs_no_other_line(spool: Spool) -> None:
    spool.add({"n": 1})
    [path] = spool.folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"n": 2, "tex')
    spool.add({"n": 3})
    assert [entry["n"] for entry in taken(spool)] == [1, 3]


def test_a_full_spool_acknowledges_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=100)
    spool.add({"n": "x" * 60})
    with pytest.raises(NotKeptError, match="Mend the database"):
        spool.add({"n": "x" * 60})
    assert len(taken(spool)) == 1
    spool.add({"n": "x" * 60})


def add_many(folder: Path, first: int) -> None:
    spool = Spool(folder, segment=500)
    for number in range(first, first + 50):
        spool.add({"n": number})


def test_several_add_while_it_is_drained(spool: Spool) -> None:
    # Its locks are held by open files, so threads with spools of their own stand for processes.
    adders = [threading.Thread(target=add_many, args=(spool.folder, 1000 * k)) for k in range(3)]
    for adder in adders:
        adder.start()
    found: list[Any] = []
    while any(adder.is_alive() for adder in adders):
        if spool.folder.exists():
            spool.drain(found.extend)
    for adder in adders:
        adder.join()
    spool.drain(found.extend)
    expected = [1000 * k + i for k in range(3) for i in range(50)]
    assert sorted(entry["n"] for entry in found) == expected


def test_events_during_a_lock_of_another_process_are_kept_and_counted(
    store: Store, tmp_path: Path
) -> None:
    with locked_by_another(tmp_path / "qa.db"):
        assert [store.append_event(event(i)) for i in range(1, 21)] == [False] * 20
        assert store.spool is not None
        assert store.spool.num_bytes() > 0
    store.process_pending()
    assert not store.spool.holds()
    assert summary(store, ONE)["n"] == 20
    assert store.append_event(event(21))


def test_the_spool_is_emptied_in_the_middle_of_a_long_backlog(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event that met a busy database must not send all that come after it there, too."""
    assert store.spool is not None
    spool, take_events, held = store.spool, store.intake._take_events, []

    def one_by_one(_limit: int) -> int | None:
        held.append(spool.holds())
        if len(held) == 2:
            spool.add({"kind": "late", "server": "", "payload": {"action": "X"}})
        return take_events(1)

    store.intake.close()  # the worker
    monkeypatch.setattr(store.intake, "_careful", 0)
    monkeypatch.setattr(store.intake, "_take_events", one_by_one)
    for number in range(1, 8):
        store.append_event(event(number))
    assert store.process_pending() == 7
    assert held == [False] * 8


def test_only_the_first_of_many_waits_for_a_locked_database(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    real = store_module.patience
    monkeypatch.setattr(store_module, "patience", lambda s: waits.append(s) or real(s))
    with locked_by_another(tmp_path / "qa.db"):
        for number in range(1, 31):
            store.append_event(event(number))
    assert waits.count(store_module.WAIT_S) == 1


def test_predictions_during_a_lock_are_kept(store: Store, tmp_path: Path) -> None:
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], task=1)))
    store.process_pending()
    with locked_by_another(tmp_path / "qa.db"):
        store.record_all(ONE, [(1, prediction([point(30, 30)])), (2, prediction([point(1, 1)]))])
    store.process_pending()
    assert len(store.rows(schema.predictions)) == 2
    assert summary(store, ONE)["hits"] == 1


def test_a_process_that_ends_during_the_lock_leaves_its_events_to_the_next(
    store: Store, tmp_path: Path
) -> None:
    with locked_by_another(tmp_path / "qa.db"):
        store.append_event(event(1))
        store.close()
    again = Store(store.url, tmp_path / "spool")
    again.process_pending()
    assert summary(again, ONE)["n"] == 1
    again.close()


def test_an_entry_that_no_database_takes_costs_no_other_and_is_put_aside(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert store.spool is not None
    row = {"server": "", "action": "X", "payload": "{}", "received_at": "2026"}
    store.spool.add({"kind": "event"})
    store.spool.add({"kind": "event", **row})
    store.spool.add({"kind": "predictions", "server": "", "rows": [{"key": 1}]})
    store.spool.add({"kind": "event", **row, "payload": {"of": "another form"}})
    store.spool.add({"kind": "event", **row, "action": 2**70})
    store.process_pending()
    assert store.inbox_counts()["events"] == 1
    assert not store.spool.holds()
    assert len((store.spool.folder / "refused.jsonl").read_text().splitlines()) == 4
    assert "put aside" in caplog.text
    told = spooled(store.spool)
    assert (told.level, "refused.jsonl" in told.found) == ("warning", True)
    (store.spool.folder / "refused.jsonl").unlink()
    assert spooled(store.spool).level == "ok"


def test_the_worker_empties_the_spool_by_itself(store: Store, tmp_path: Path) -> None:
    with locked_by_another(tmp_path / "qa.db"):
        store.append_event(event(1))
    deadline = time.monotonic() + 30
    while summary(store, ONE)["n"] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert summary(store, ONE)["n"] == 1


def test_neither_database_nor_spool_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "spool"
    blocked.write_text("a file where the folder should be")
    store = Store(f"sqlite:///{tmp_path}/qa.db", blocked)
    with locked_by_another(tmp_path / "qa.db"), pytest.raises(NotKeptError, match="Free some"):
        store.append_event(event(1))
    assert store.append_event(event(2))
    store.close()


def test_without_a_spool_the_database_s_error_is_told(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    locked = locked_by_another(tmp_path / "qa.db")
    with locked, patience(0.1), pytest.raises(sa.exc.SQLAlchemyError):
        store.append_event(event(1))
    store.close()


def test_a_late_event_is_told_before_it_leaves_the_spool(store: Store, tmp_path: Path) -> None:
    told: list[Any] = []
    failing = threading.Event()
    failing.set()

    def late(payload: dict[str, Any], server: str) -> None:
        if failing.is_set():
            raise sa.exc.OperationalError("", {}, Exception("locked"))
        told.append((payload["action"], server))

    store.intake.when_late = late
    store.intake.close()  # the worker would drain, too
    with locked_by_another(tmp_path / "qa.db"):
        store.append_event(event(1), "http://one")
    with pytest.raises(sa.exc.OperationalError):
        store.intake.drain()
    failing.clear()
    store.process_pending()
    assert told == [("ANNOTATION_CREATED", "http://one")]
    assert summary(store)["n"] == 1  # twice in the inbox, once in the figures


def test_a_late_event_that_cannot_be_heeded_holds_up_nothing(store: Store, tmp_path: Path) -> None:
    def late(payload: dict[str, Any], server: str) -> None:
        raise ValueError("a defect")

    store.intake.when_late = late
    with locked_by_another(tmp_path / "qa.db"):
        store.append_event(event(1), "http://one")
    store.process_pending()
    store.append_event(event(2))
    store.process_pending()
    assert store.inbox_counts() == {"events": 2, "waiting": 0, "failed": 0}
