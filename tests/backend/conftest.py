"""What tests of the service leave behind is closed: its threads would go on in tests of others."""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.web.service import Service


@pytest.fixture(autouse=True)
def _services_end_with_their_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every service that `create_app` started within a test and that nobody closed.

    A forgotten one keeps about ten threads, which look at a database whose folder is gone, log what
    they find on stderr, and take time from tests of commands that read stderr line by line.
    """
    started: list[Service] = []
    make = Service.__init__

    def noted(self: Service, *parts: Any) -> None:
        make(self, *parts)
        started.append(self)

    monkeypatch.setattr(Service, "__init__", noted)
    yield
    for service in started:
        if not service.states._end.is_set():
            service.close()


@pytest.fixture(autouse=True)
def _pages_show_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits for the latest events for as long as a busy machine takes to count them."""
    monkeypatch.setattr("backend.qa.intake.CATCH_UP_S", 30.0)
    monkeypatch.setattr("backend.qa.ledger.FIRST_S", 30.0)
