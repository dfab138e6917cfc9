"""Marks on any database: the same checks for SQLite and PostgreSQL."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from backend.database import schema
from backend.database.engine import MIGRATIONS, migrate, open_engine
from backend.database.keys import ProjectKey
from backend.qa.marks import Place, Verdict, all_marks, put_mark
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.qa_events import annotation, box, created, deleted

SERVER = "http://studio.example"
PROJECT = ProjectKey(SERVER, 1)


def tiny(id: int, *, second: int = 1, size: float = 0.5, **extra) -> dict:
    """An annotation that is suspected: its box is next to nothing."""
    return annotation(id, [box(20, 20, size, size)], task=id, second=second, **extra)


def place(id: int) -> Place:
    return Place(SERVER, id, 0)


def listed(store: Store) -> set[int]:
    """The annotations on the audit list."""
    return {row["annotation_id"] for row in build_report(store, Filters(project=PROJECT))["audit"]}


def send(store: Store, *events: dict) -> None:
    for event in events:
        store.append_event(event, SERVER)
    store.process_pending()


def check_marks(store: Store) -> None:
    """A mark takes a suspect off the list until the annotation is another; the last word counts."""
    send(store, *(created(tiny(id)) for id in (1, 2, 3)))
    assert listed(store) == {1, 2, 3}
    put_mark(store, place(1), Verdict.fine, by="Ana", reasons=["tiny"], note=" it is a seed ")
    put_mark(store, place(2), Verdict.fix, by="Ben", reasons=["tiny"])
    assert listed(store) == {3}
    store.recompute()
    assert listed(store) == {3}

    put_mark(store, place(2), Verdict.open, by="Ben")
    assert listed(store) == {2, 3}
    put_mark(store, place(2), Verdict.fix, by="Ben", reasons=["tiny"])

    # Saved again without another look, its regions the same: what was seen is what there is.
    again = {**tiny(1, second=9), "lead_time": 99.0}
    send(store, created(again, "ANNOTATION_UPDATED"))
    assert listed(store) == {3}
    send(store, created(tiny(2, second=9, size=0.6), "ANNOTATION_UPDATED"))
    assert listed(store) == {2, 3}
    send(store, deleted(1))

    marks = all_marks(store, PROJECT)
    assert [(m["annotation_id"], m["verdict"], m["marked_by"], m["counts"]) for m in marks] == [
        (1, "fine", "Ana", False),
        (2, "fix", "Ben", False),
        (2, "open", "Ben", False),
        (2, "fix", "Ben", False),
    ]
    assert marks[0]["note"] == "it is a seed"
    assert marks[0]["reasons"] == ["tiny"]
    assert marks[0]["marked_at"] < marks[1]["marked_at"]


def check_migration_of_0009(url: str) -> None:
    """Up from the revision before, and down again, with what there was still there."""
    engine = open_engine(url)
    migrate(engine, "0009")
    assert not sa.inspect(engine).has_table("audit_marks")
    insert = schema.facts.insert().values(name="kept", value="yes")
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(insert)
    store = Store(url)
    send(store, created(tiny(1)))
    put_mark(store, place(1), Verdict.fix)
    store.close()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
    assert not sa.inspect(engine).has_table("audit_marks")
    with engine.connect() as connection:
        query = sa.select(schema.facts.c.value).where(schema.facts.c.name == "kept")
        assert connection.execute(query).scalar() == "yes"
    migrate(engine)
    assert sa.inspect(engine).has_table("audit_marks")
    engine.dispose()
