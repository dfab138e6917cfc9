"""The quality store that a command of `videogem qa` works on, and the project it is asked about."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.database.keys import ProjectKey
    from backend.qa.store import Store

DATABASE_HELP = "SQLAlchemy URL of the store; default: that of the backend's settings."


@contextmanager
def open_store(database: str | None) -> Iterator["Store"]:
    """The store of the settings, or the one named; it must be there already."""
    from sqlalchemy.engine import make_url

    from backend.qa.store import Store
    from backend.settings import load_settings
    from videogem.errors import InputError

    url = database or load_settings().database
    if url.startswith("sqlite") and not Path(str(make_url(url).database)).expanduser().exists():
        raise InputError(f"There is no quality store at {url}; is VIDEOGEM_DATA_DIR right?")
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


def known_project(store: "Store", text: str) -> "ProjectKey":
    """The project that is meant, with its server, after what waits was counted.

    Raises:
        InputError: the store has no such project.
    """
    from backend.database import schema
    from backend.database.keys import read_project
    from backend.qa.queries import resolve
    from backend.qa.report import listed_projects
    from videogem.errors import InputError

    store.catch_up()
    asked = read_project(text)
    key = resolve(store, asked) or asked
    projects = listed_projects(store)
    # Those that only wrote predictions, or reviews before they were announced, are known, too.
    tables = (schema.predictions, schema.annotations)
    kept = {id for table in tables for id in store.values(table.c.project_id)}
    if key.id not in {row["id"] for row in projects} | kept:
        known = ", ".join(row["value"] for row in projects) or "none"
        raise InputError(f"There is no project {key.id}; known: {known}.")
    return key
