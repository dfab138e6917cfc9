"""How much is fetched at a time, and until when."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.media.fetch import MediaError
from backend.media.turns import OF_ONE_HOST, Turns, fetching_until
from tests.backend.media.reader import media, read
from tests.http_server import Answer, Request, http_server


def test_one_host_leaves_turns_for_others() -> None:
    turns = Turns(at_once=3, of_one_host=2)
    soon = time.monotonic() + 0.05
    with turns.take("slow", soon), turns.take("slow", soon):
        with pytest.raises(TimeoutError), turns.take("slow", soon):
            pass
        with (
            turns.take("other", soon),
            pytest.raises(TimeoutError),
            turns.take("third", time.monotonic() + 0.05),
        ):
            pass
    with turns.take("slow", 0), turns.take("slow", 0):  # given back, at once
        pass
    assert not turns._taken


def test_a_host_is_asked_for_some_files_at_a_time(tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(request: Request) -> Answer:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        return Answer(b"file")

    with http_server() as elsewhere, ThreadPoolExecutor(3 * OF_ONE_HOST) as pool:
        elsewhere.fallback = slow
        reader = media(tmp_path, None, allowed_hosts="127.0.0.1")
        urls = [f"{elsewhere.url}/{number}.jpg" for number in range(3 * OF_ONE_HOST)]
        assert set(pool.map(lambda url: read(reader, url), urls)) == {b"file"}
    assert 1 < most <= OF_ONE_HOST


def test_a_file_that_drips_is_let_go_at_the_end_of_the_request(tmp_path: Path) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x"
            time.sleep(0.1)

    with http_server() as elsewhere:
        elsewhere.fallback = lambda request: Answer(drip(), headers={"Content-Length": "100"})
        reader = media(tmp_path, None, allowed_hosts="127.0.0.1")
        begun = time.monotonic()
        with (
            fetching_until(begun + 0.5),
            pytest.raises(MediaError, match="VIDEOGEM_PREDICT_BUDGET"),
        ):
            read(reader, f"{elsewhere.url}/a.jpg")
        assert time.monotonic() - begun < 5
