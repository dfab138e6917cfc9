"""Databases that are let go of while others still use them, or that cannot be opened."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.database.engine import is_outage, let_go, open_engine


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_connection_stays_open_whoever_holds_it(tmp_path: Path, when: str) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/qa.db")
    with engine.connect() as idle:
        known = [idle.connection.dbapi_connection]
    if when == "after":  # a thread that comes late
        let_go(engine)
    with engine.connect() as used:
        known.append(used.connection.dbapi_connection)
        if when == "before":
            let_go(engine)
        assert used.execute(sa.text("SELECT 1")).scalar() == 1
    assert not any(map(is_open, known))


def test_a_file_that_cannot_be_opened_this_moment_is_an_outage(tmp_path: Path) -> None:
    """All handles of the process may be used up: what was to be written is not to blame."""
    engine = open_engine(f"sqlite:///{tmp_path}/folder/qa.db")
    (tmp_path / "folder").rmdir()
    with pytest.raises(sa.exc.OperationalError) as error:
        engine.connect()
    assert is_outage(error.value)
