"""A quality store of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.qa.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()
