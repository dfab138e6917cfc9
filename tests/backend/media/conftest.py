"""Two servers that media may be on."""

from collections.abc import Iterator

import pytest

from tests.http_server import Server, http_server


@pytest.fixture
def label_studio() -> Iterator[Server]:
    with http_server() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    with http_server() as server:
        yield server
