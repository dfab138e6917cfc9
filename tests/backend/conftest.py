"""What tests of the service leave behind is closed: its threads would go on in tests of others."""

from collections.abc import Iterator

import pytest

from backend.web.states import States


@pytest.fixture(autouse=True)
def _services_end_with_their_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every service that `create_app` started within a test and that nobody closed.

    A forgotten one keeps about ten threads, which look at a database whose folder is gone, log what
    they find on stderr, and take time from tests of commands that read stderr line by line.
    """
    started: list[States] = []
    start = States.start

    def noted(self: States) -> None:
        started.append(self)
        start(self)

    monkeypatch.setattr(States, "start", noted)
    yield
    for states in started:
        if not states._end.is_set():
            states._service.close()


@pytest.fixture(autouse=True)
def _pages_show_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits for the latest events for as long as a busy machine takes to count them."""
    monkeypatch.setattr("backend.qa.intake.CATCH_UP_S", 30.0)
