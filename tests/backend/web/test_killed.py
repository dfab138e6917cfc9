"""A backend that is killed while events come: none that it acknowledged is lost."""

import random
import threading
import time
from pathlib import Path

import pytest
import requests

from backend.database import schema
from backend.qa.store import Store
from tests.fake_backend import BackendProcess
from tests.qa_events import annotation, box, created

PER_SECOND = 50


class Sender:
    """Sends events at their pace, whatever becomes of them; keeps which were acknowledged."""

    def __init__(self, url: str, filler: str = "") -> None:
        self.acknowledged: set[int] = set()
        self.refused: list[tuple[int, str]] = []  # status and words
        self._filler = filler
        self._url = f"{url}/webhook"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        number, start = 0, time.monotonic()
        with requests.Session() as session:
            while not self._end.is_set():
                number += 1
                made = annotation(number, [box(20, 20, 20, 20)], task=number)
                event = created(made, filler=self._filler)
                try:
                    answer = session.post(self._url, json=event, timeout=10)
                    if answer.status_code == 201:
                        self.acknowledged.add(number)
                    else:
                        self.refused.append((answer.status_code, answer.text))
                except requests.RequestException:
                    pass  # it was never acknowledged
                self._end.wait(max(0.0, start + number / PER_SECOND - time.monotonic()))

    def stop(self) -> None:
        self._end.set()
        self._thread.join(30)


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.soak)])
def test_no_acknowledged_event_is_lost_in_kills(tmp_path: Path, kills: int) -> None:
    chance = random.Random(7)
    values = {"data_dir": tmp_path, "qa_sync_minutes": 0}
    process = BackendProcess(values)
    process.wait()
    sender = Sender(process.url)
    values["port"] = process.port
    for _ in range(kills):
        before = len(sender.acknowledged)
        deadline = time.monotonic() + 120
        while len(sender.acknowledged) < before + 20:  # it works, however slow the machine is
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
        process = BackendProcess(values)
        time.sleep(chance.uniform(0, 1.0) if kills > 10 else 0.0)  # also while it starts
    process.wait()
    sender.stop()
    process.kill()
    store = Store(f"sqlite:///{tmp_path}/quality.sqlite3", tmp_path / "spool")
    store.process_pending()
    kept = {row["id"] for row in store.rows(schema.annotations)}
    counts = store.inbox_counts()
    store.close()
    assert len(sender.acknowledged) >= 20 * kills
    assert sender.acknowledged - kept == set()
    assert (counts["waiting"], counts["failed"]) == (0, 0)
