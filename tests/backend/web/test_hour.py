"""An hour of corrections with people looking at the pages: nothing is lost, memory stays."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.backend.prediction.test_batch import wait_for
from tests.fake_backend import BackendProcess
from tests.qa_events import annotation, box, created, prediction

logger = logging.getLogger(__name__)
PER_SECOND = 50
NUM_READERS = 20
READ_EVERY_S = 5.0
PAGES = ("/health", "/qa/summary.json?project=1", "/qa?project=1", "/jobs", "/health?details")
START = datetime(2026, 1, 1, tzinfo=UTC)
ANNOTATIONS = 2000  # each is corrected again and again: a project has so many at hand


def memory_mb(process: BackendProcess) -> float:
    """What a process holds of the machine's memory."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def event(number: int) -> dict[str, object]:
    guess = prediction([box(20, 20, 20, 20)], id=number % ANNOTATIONS)
    made = annotation(
        number % ANNOTATIONS,
        [box(20 + number % 30, 20, 20, 20)],
        task=number % ANNOTATIONS,
        prediction=guess,
        parent_prediction=number % ANNOTATIONS,
        updated_at=(START + timedelta(seconds=number)).isoformat(),
    )
    return created(made)


class Loads:
    """Senders and readers at a backend; keeps how long each answer took, and what went wrong."""

    def __init__(self, url: str, count: int) -> None:
        self.webhooks: list[float] = []
        self.pages: list[float] = []
        self.wrong: list[str] = []
        self.sent = 0
        self._url = url
        self._numbers = iter(range(count))
        self._start = time.monotonic()
        self._end = threading.Event()

    def _ask(self, took: list[float], ask: Callable[[], requests.Response], wanted: int) -> None:
        begun = time.monotonic()
        try:
            answer = ask()
        except requests.RequestException as error:
            self.wrong.append(f"{wanted} wanted: {error}")
            return
        took.append(time.monotonic() - begun)
        if answer.status_code != wanted:
            self.wrong.append(f"{answer.status_code} {answer.url}")

    def send(self) -> None:
        """Events at their pace, as Label Studio's threads send them."""
        with requests.Session() as session:
            while True:
                try:
                    number = next(self._numbers)
                except StopIteration:
                    return
                time.sleep(max(0.0, self._start + number / PER_SECOND - time.monotonic()))
                body = event(number)
                self._ask(
                    self.webhooks,
                    lambda body=body: session.post(f"{self._url}/webhook", json=body, timeout=60),  # type: ignore[misc]
                    201,
                )

    def read(self, reader: int) -> None:
        """One person's looks."""
        self._end.wait(reader * READ_EVERY_S / NUM_READERS)  # not all at once
        pages: Iterator[str] = itertools.cycle(PAGES[reader % 5 :] + PAGES[: reader % 5])
        with requests.Session() as session:
            while not self._end.wait(READ_EVERY_S):
                path = next(pages)
                self._ask(
                    self.pages,
                    lambda path=path: session.get(self._url + path, timeout=60),  # type: ignore[misc]
                    200,
                )

    def run(self, look: Callable[[], None]) -> None:
        with ThreadPoolExecutor(4 + NUM_READERS) as pool:
            readers = [pool.submit(self.read, reader) for reader in range(NUM_READERS)]
            senders = [pool.submit(self.send) for _ in range(4)]
            while not all(each.done() for each in senders):
                look()
                self._end.wait(2.0)
            self._end.set()
            for each in senders + readers:
                each.result()


@pytest.mark.parametrize("count", [400, pytest.param(180_000, marks=pytest.mark.soak)])
def test_corrections_and_readers(tmp_path: Path, count: int) -> None:
    process = BackendProcess({"data_dir": tmp_path, "qa_sync_minutes": 0})
    try:
        process.wait()
        loads = Loads(process.url, count)
        held: list[float] = []
        loads.run(lambda: held.append(memory_mb(process)))
        summary = f"{process.url}/health?details"

        def waiting() -> float:
            checks = requests.get(summary, timeout=60).json()["checks"]
            [events] = [check for check in checks if check["name"] == "events"]
            return events["numbers"]["waiting"] + count - events["numbers"]["events"]

        wait_for(lambda: waiting() == 0, seconds=120)
    finally:
        process.kill()
    webhooks, pages = sorted(loads.webhooks), sorted(loads.pages)
    early, late = held[len(held) // 5], held[-1]
    logger.info(
        "%d events: half within %.1f ms, 99 of 100 within %.0f ms, longest %.0f ms; %d pages: half "
        "within %.0f ms, 99 of 100 within %.0f ms; memory %.0f MB after a fifth, %.0f at the end",
        count, 1e3 * webhooks[len(webhooks) // 2],
        1e3 * webhooks[len(webhooks) * 99 // 100], 1e3 * webhooks[-1],
        len(pages), 1e3 * pages[len(pages) // 2], 1e3 * pages[len(pages) * 99 // 100], early, late,
    )  # fmt: skip
    assert loads.wrong == []
    assert len(loads.webhooks) == count
    if count > 10_000:
        assert late < 1.1 * early
        assert webhooks[count * 99 // 100] < 0.1
