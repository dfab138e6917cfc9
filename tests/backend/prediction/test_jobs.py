"""The job list: shared, leased, never relabelled; on SQLite here, on PostgreSQL in test_sharing."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backend.database.keys import ProjectKey
from backend.database.schema import jobs as table
from backend.prediction.jobs import MAX_ATTEMPTS, MAX_BODY, SENDING, Jobs
from backend.prediction.old_jobs import take_over

KEY = ProjectKey("http://one", 1)
OTHER = ProjectKey("http://two", 1)
PREDICTION = {"result": [], "score": 0.5, "model_version": "v1"}


class Clock:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Open = Callable[..., Jobs]


@pytest.fixture
def open_jobs(tmp_path: Path, clock: Clock) -> Iterator[Open]:
    opened = []

    def make(folder: str = "data") -> Jobs:
        (tmp_path / folder).mkdir(exist_ok=True)
        jobs = Jobs(f"sqlite:///{tmp_path}/jobs.db", tmp_path / folder, clock=clock)
        opened.append(jobs)
        return jobs

    yield make
    for jobs in opened:
        jobs.close()


def tasks(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"id": number, "data": {"i": f"{number}.png"}, "annotations": [1]} for number in numbers
    ]


def ids(found: Any) -> list[int]:
    return [job.task_id for job in found]


def rows(jobs: Jobs) -> list[Any]:
    with jobs._read() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.id)))


def test_a_job_goes_through_its_states(open_jobs: Open) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "<View/>", "v1", tasks(1, 2))
    claimed = jobs.claim(10)
    assert (ids(claimed), claimed[0].config, claimed[0].key) == ([1, 2], "<View/>", KEY)
    assert "annotations" not in claimed[0].task
    assert jobs.claim(10) == []
    jobs.keep([(claimed[0], PREDICTION)])
    jobs.fail([(claimed[1], "no\0 frame")])
    [ready] = jobs.claim_ready(10)
    assert ready.prediction == PREDICTION
    jobs.finish([ready])
    assert jobs.counts()[KEY] | {"done": 1, "failed": 1} == jobs.counts()[KEY]
    assert jobs.failures()[0]["reason"] == "no frame"


def test_what_is_done_keeps_no_body(open_jobs: Open) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", [{"id": 1, "data": {"text": "long " * 1000}}])
    jobs.keep([(jobs.claim(1)[0], PREDICTION)])
    jobs.finish(jobs.claim_ready(1))
    assert [(row.body, row.prediction) for row in rows(jobs)] == [("{}", None)]


def test_a_task_too_large_to_be_kept_says_so(open_jobs: Open) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", [{"id": 1, "data": {"text": "x" * MAX_BODY}}, *tasks(2)])
    assert ids(jobs.claim(10)) == [2]
    assert "characters of data" in jobs.failures()[0]["reason"]
    assert len(rows(jobs)[0].body) < 100


def test_all_bodies_together_have_a_bound_and_room_comes_back(
    open_jobs: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = open_jobs()
    large = [{"id": id, "data": {"text": "x" * 400}} for id in range(1, 4)]
    monkeypatch.setattr("backend.prediction.job_intake.MAX_BODIES", 1000)
    for task in large:
        jobs.enqueue(KEY, "<View/>", "v1", [task])
    assert [row.state for row in rows(jobs)] == ["queued", "queued", "failed"]
    assert "takes no more" in jobs.failures()[0]["reason"]
    jobs.finish(jobs.claim(5))
    jobs.enqueue(KEY, "<View/>", "v1", large[2:])
    assert [row.state for row in rows(jobs)] == ["done", "done", "queued"]


def test_two_processes_share_the_work(open_jobs: Open) -> None:
    one, two = open_jobs(), open_jobs()
    one.enqueue(KEY, "", "v1", tasks(*range(10)))
    assert sorted(ids(one.claim(4)) + ids(two.claim(10))) == list(range(10))


def test_two_servers_with_the_same_ids_do_not_mix(open_jobs: Open) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "<a/>", "v1", tasks(1))
    jobs.enqueue(OTHER, "<b/>", "v1", tasks(1))
    assert [(job.key, job.config) for job in jobs.claim(5) + jobs.claim(5)] == [
        (KEY, "<a/>"),
        (OTHER, "<b/>"),
    ]


def test_a_lease_that_is_not_renewed_goes_back_and_its_holder_changes_nothing(
    open_jobs: Open, clock: Clock
) -> None:
    one, two = open_jobs("a"), open_jobs("b")
    one.enqueue(KEY, "", "v1", tasks(1))
    [slow] = one.claim(1)
    assert two.claim(1) == []
    clock.now += 61
    [again] = two.claim(1)
    one.keep([(slow, PREDICTION)])
    one.fail([(slow, "late")])
    one.requeue([slow])
    assert one.state(KEY, 1, "v1") == "running"
    two.keep([(again, PREDICTION)])
    assert two.state(KEY, 1, "v1") == "ready"


def test_a_dead_process_of_this_machine_is_not_waited_for(open_jobs: Open) -> None:
    dead = open_jobs()
    dead.enqueue(KEY, "", "v1", tasks(1))
    dead.claim(1)
    dead._owners._file.close()  # what the system does when a process is killed
    alive = open_jobs()
    assert ids(alive.claim(1)) == [1]


def test_what_takes_the_process_down_is_given_up_and_spares_the_others(
    open_jobs: Open, clock: Clock
) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", tasks(1, 2, 3))
    sizes = []
    for _ in range(MAX_ATTEMPTS + 2):
        claimed = jobs.claim(10)
        if 1 in ids(claimed):
            sizes.append(len(claimed))
            clock.now += 61  # and the process is gone
        else:
            jobs.keep([(job, PREDICTION) for job in claimed])
    assert sizes == [3, 3, 1, 1, 1]
    assert "ended 5 times" in jobs.failures()[0]["reason"]
    assert jobs.counts()[KEY]["ready"] == 2


@pytest.mark.parametrize("change", [("<new/>", "v1"), ("<old/>", "v2")])
def test_what_the_project_no_longer_asks_for_is_dropped(
    open_jobs: Open, caplog: pytest.LogCaptureFixture, change: tuple[str, str]
) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "<old/>", "v1", tasks(1, 2, 3))
    jobs.keep([(jobs.claim(1)[0], PREDICTION)])
    [running] = jobs.claim(1)
    with caplog.at_level(logging.WARNING):
        assert jobs.announce(KEY, *change) == 3
    assert "3 jobs dropped" in caplog.text
    jobs.keep([(running, PREDICTION)])
    assert (jobs.claim(9), jobs.claim_ready(9)) == ([], [])


def test_a_new_config_under_the_same_version_starts_anew(open_jobs: Open) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "<old/>", "v1", tasks(1))
    [old] = jobs.claim(1)
    jobs.enqueue(KEY, "<new/>", "v1", tasks(1))
    jobs.keep([(old, PREDICTION)])
    [new] = jobs.claim(1)
    assert new.config == "<new/>"


def test_a_clock_that_was_wrong_leaves_nothing_waiting(open_jobs: Open, clock: Clock) -> None:
    right = clock.now
    jobs = open_jobs()
    clock.now = right + 365 * 86400
    jobs.enqueue(KEY, "", "v1", tasks(1, 2, 3), delay=30)
    clock.now += 31
    kept, other, held = jobs.claim(3)
    jobs.keep([(kept, PREDICTION)], delay=600)
    jobs.requeue([other], delay=30)
    clock.now = right
    assert ids(jobs.claim_ready(1)) == [1]
    assert held.task_id == 3  # whose lease ends in a year
    assert sorted(ids(jobs.claim(3))) == [2, 3]


def test_a_failing_database_ends_the_lease_instead_of_running_for_ever(
    open_jobs: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", tasks(1))
    [job] = jobs.claim(1)

    def fail(*_: Any, **__: Any) -> None:
        raise sa.exc.OperationalError("UPDATE", {}, Exception("disk full"))

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_set", fail)
        with pytest.raises(sa.exc.OperationalError):
            jobs.finish([job])
    assert jobs._held == set()
    clock.now += 61
    assert ids(jobs.claim(1)) == [1]


def test_what_was_being_sent_is_looked_at_only_when_label_studio_has_saved_it(
    open_jobs: Open, clock: Clock
) -> None:
    dead = open_jobs()
    dead.enqueue(KEY, "", "v1", tasks(1))
    dead.keep([(dead.claim(1)[0], PREDICTION)])
    assert ids(dead.sending(dead.claim_ready(1))) == [1]
    dead._owners._file.close()
    alive = open_jobs()
    assert alive.claim_ready(1) == []
    clock.now += SENDING + 1
    assert ids(alive.claim_ready(1)) == [1]


def test_what_got_no_answer_is_neither_sent_nor_answered_before_it_is_saved(
    open_jobs: Open, clock: Clock
) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", tasks(1))
    jobs.keep([(jobs.claim(1)[0], PREDICTION)])
    sent = jobs.sending(jobs.claim_ready(1), grace=60)
    jobs.keep([(job, PREDICTION) for job in sent], delay=5, answered=False)
    clock.now += 10
    jobs.wake(KEY)  # Label Studio is there, and asks again
    assert jobs.claim_ready(1) == []
    asked = jobs.begin(KEY, "", "v1", tasks(1), saving=5)
    assert (asked.kept, asked.pending) == ({}, {1})
    clock.now += 51
    assert ids(jobs.claim_ready(1)) == [1]


def test_who_asks_does_not_get_what_a_dead_backend_was_sending(
    open_jobs: Open, clock: Clock
) -> None:
    dead = open_jobs()
    dead.enqueue(KEY, "", "v1", tasks(1))
    dead.keep([(dead.claim(1)[0], PREDICTION)])
    dead.sending(dead.claim_ready(1), grace=60)
    dead._owners._file.close()
    alive = open_jobs()
    assert alive.begin(KEY, "", "v1", tasks(1), saving=5).pending == {1}
    clock.now += 61
    assert set(alive.begin(KEY, "", "v1", tasks(1), saving=5).kept) == {1}


def test_what_label_studio_answered_is_over(open_jobs: Open, clock: Clock) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", tasks(1))
    jobs.keep([(jobs.claim(1)[0], PREDICTION)])
    refused = jobs.sending(jobs.claim_ready(1), grace=60)
    jobs.keep([(job, PREDICTION) for job in refused], delay=5)
    clock.now += 6
    assert ids(jobs.claim_ready(1)) == [1]


def test_a_request_claims_what_nobody_does(open_jobs: Open, clock: Clock) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "", "v1", tasks(1, 2, 3))
    first, second, third = jobs.claim(3)
    jobs.keep([(first, PREDICTION)])
    jobs.keep([(third, PREDICTION)])
    jobs.finish(jobs.claim_ready(1))  # 1 was delivered a moment ago
    claimed = jobs.begin(KEY, "", "v1", tasks(1, 2, 3, 4), saving=5)
    assert (sorted(claimed.jobs), sorted(claimed.kept), sorted(claimed.pending)) == (
        [4],
        [3],
        [1, 2],
    )
    jobs.finish([claimed.jobs[4]])
    assert jobs.counts()[KEY]["done"] == 2
    assert second.task_id == 2


def test_an_old_list_is_taken_over_once(open_jobs: Open, tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "jobs.sqlite3")
    old.executescript((Path(__file__).parents[2] / "data" / "jobs_before.sql").read_text())
    old.commit()
    old.close()
    jobs = open_jobs()
    assert take_over(jobs, tmp_path, lambda number: ProjectKey("http://one", number)) == 4
    assert take_over(jobs, tmp_path, lambda number: ProjectKey("http://one", number)) == 0
    counts = jobs.counts()[KEY]
    assert (counts["queued"], counts["ready"], counts["failed"]) == (2, 1, 1)
    claimed = jobs.claim(9)
    assert (ids(claimed), claimed[0].config, claimed[0].version) == ([1, 2], "<View/>", "v1")
    assert jobs.claim_ready(1)[0].prediction == PREDICTION
    assert (tmp_path / "jobs.sqlite3.taken-over").exists()


def test_finished_jobs_are_forgotten_after_a_while(open_jobs: Open, clock: Clock) -> None:
    jobs = open_jobs()
    jobs.enqueue(KEY, "<View/>", "v1", tasks(1, 2))
    first, second = jobs.claim(2)
    jobs.finish([first])
    jobs.fail([(second, "why")])
    clock.now += 8 * 86400
    jobs._cleaned = 0.0
    jobs._clean()
    assert len(rows(jobs)) == 1
    clock.now += 30 * 86400
    jobs._cleaned = 0.0
    jobs._clean()
    assert rows(jobs) == []


def test_leases_are_renewed_while_working(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    one, two = Jobs(url, tmp_path / "a", lease=0.4), Jobs(url, tmp_path / "b", lease=0.4)
    try:
        one.enqueue(KEY, "", "v1", tasks(1))
        one.claim(1)
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert two.claim(1) == []
            time.sleep(0.1)
    finally:
        one.close()
        two.close()


def test_leases_are_renewed_after_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stumbled: list[int] = []

    def stumble(self: Jobs) -> None:
        stumbled.append(1)
        raise ValueError("a defect")

    monkeypatch.setattr(Jobs, "_clean", stumble)
    jobs = Jobs(f"sqlite:///{tmp_path}/jobs.db", tmp_path / "a", lease=0.1)
    end = time.monotonic() + 20
    while len(stumbled) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    jobs.close()
