"""When predictions are sent: Label Studio counts a whole project anew after each request."""

from collections.abc import Callable
from typing import Any

import pytest

from backend.prediction import outbox
from backend.prediction.outbox import DELIVERY, SHORTEST_GAP, Backlog, Outbox


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class ListOfJobs:
    """Says how many there are; notes when some are taken to be sent."""

    def __init__(self) -> None:
        self.waiting = 0
        self.ready = 10
        self.num_sent = 0

    def num_ready(self) -> int:
        return self.ready

    def num_waiting(self) -> int:
        return self.waiting

    def claim_ready(self, limit: int) -> list[Any]:
        self.num_sent += 1
        return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outbox, "time", clock)
    return clock


def open_outbox(jobs: Any, per_second: Callable[[], float | None] = lambda: 10.0) -> Outbox:
    return Outbox(
        jobs,
        connections=Any,  # type: ignore[arg-type]
        record=lambda key, pairs: None,
        wanted_version=lambda config: "1",
        backlog=Backlog(jobs, per_second),
    )


def test_what_will_soon_be_complete_is_sent_as_a_whole(clock: Clock) -> None:
    jobs = ListOfJobs()
    box = open_outbox(jobs)
    box.predicting(busy=True)
    jobs.waiting = 40  # 4 s
    clock.now += SHORTEST_GAP + 0.1
    box.deliver_some()
    assert jobs.num_sent == 0
    box.predicting(busy=False)
    box.deliver_some()
    assert jobs.num_sent == 1


def test_what_takes_long_is_sent_in_parts(clock: Clock) -> None:
    jobs = ListOfJobs()
    box = open_outbox(jobs)
    box.predicting(busy=True)
    jobs.waiting = 400  # 40 s
    box.deliver_some()
    assert jobs.num_sent == 0
    clock.now += SHORTEST_GAP + 0.1
    box.deliver_some()
    assert jobs.num_sent == 1


def test_a_last_task_that_hangs_is_not_waited_for(clock: Clock) -> None:
    jobs = ListOfJobs()
    box = open_outbox(jobs)
    box.predicting(busy=True)
    jobs.waiting = 1
    clock.now += 2 * SHORTEST_GAP + 0.1
    box.deliver_some()
    assert jobs.num_sent == 1


def test_a_full_delivery_waits_for_nothing(clock: Clock) -> None:
    jobs = ListOfJobs()
    box = open_outbox(jobs)
    box.predicting(busy=True)
    jobs.ready = DELIVERY
    box.deliver_some()
    assert jobs.num_sent == 1
