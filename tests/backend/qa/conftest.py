"""A quality store of its own for every test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.qa.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with all its tables: making them takes ten times as long as a copy."""
    path = tmp_path_factory.mktemp("empty") / "qa.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Iterator[Store]:
    shutil.copy(empty_database, tmp_path / "qa.db")
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()
