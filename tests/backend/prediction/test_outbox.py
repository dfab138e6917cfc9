"""When predictions are sent: Label Studio counts a whole project anew after each request."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from backend.database.keys import ProjectKey
from backend.prediction import outbox
from backend.prediction.job_rows import Job
from backend.prediction.jobs import SENDING
from backend.prediction.outbox import DELIVERY, SHORTEST_GAP, Backlog, Outbox
from backend.prediction.predict import Prediction


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


def open_outbox(
    jobs: Any,
    per_second: Callable[[], float | None] = lambda: 10.0,
    connections: Any = None,
) -> Outbox:
    return Outbox(
        jobs,
        connections=connections,
        record=lambda key, pairs: None,
        wanted_version=lambda config: "1",
        backlog=Backlog(jobs, per_second),
    )


class SlowLabelStudio:
    """Takes its time to look and to save."""

    has_token = True

    def __init__(self, clock: Clock, *, looking: float, saving: float) -> None:
        self._clock, self._looking, self._saving = clock, looking, saving

    def get(self, key: ProjectKey) -> "SlowLabelStudio":
        return self

    def project(self, number: int) -> dict[str, Any]:
        return {"label_config": "", "task_number": 100}

    def predicted(self, project: int, tasks: Sequence[int], version: str) -> set[int]:
        self._clock.now += self._looking
        return set()

    def add_predictions(self, project: int, predictions: Any) -> None:
        self._clock.now += self._saving


class Sent(ListOfJobs):
    """One job each time; keeps how long nobody may look when it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.graces: list[float] = []

    def claim_ready(self, limit: int) -> list[Job]:
        prediction: Prediction = {"result": [], "score": None, "model_version": "v1"}
        return [Job(1, ProjectKey("", 1), {"id": 1}, "v1", "", prediction=prediction)]

    def announce(self, key: ProjectKey, config: str, version: str) -> int:
        return 0

    def sending(self, some: Sequence[Job], *, grace: float) -> list[Job]:
        self.graces.append(grace)
        return list(some)

    def finish(self, some: Sequence[Job]) -> None:
        pass


def test_a_slow_label_studio_has_longer_to_save(clock: Clock) -> None:
    jobs = Sent()
    box = open_outbox(jobs, connections=SlowLabelStudio(clock, looking=20.0, saving=40.0))
    box.deliver_some()
    box.deliver_some()
    after_looking, after_saving = jobs.graces
    assert after_looking >= SENDING + 2 * 20
    assert after_saving >= SENDING + 2 * 60


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
