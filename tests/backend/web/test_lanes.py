"""Lanes by raw sockets: what is slow or many of its kind does not hold up the rest."""

import os
import select
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from backend.web.lanes import lane_of, widths
from tests.backend.web.small_server import HEAD, App, Running, read


def test_a_full_lane_refuses_and_others_go_on(start: Callable[..., Running]) -> None:
    running = start()
    lane = widths(4)["predict"]
    with ExitStack() as stack:
        links = []
        for _ in range(lane.threads + lane.waiting + 1):
            links.append(stack.enter_context(running.connect()))
            links[-1].sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        answered, _, _ = select.select(links, [], [], 15)
        assert len(answered) == 1
        refused = read(answered[0])
        assert refused.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in refused, refused
        for path in b"/health", b"/webhook", b"/setup", b"/qa", b"/qa/audit/1/0/frame.jpg":
            answer = running.ask(b"GET %s HTTP/1.0\r\n\r\n" % path)
            assert answer.startswith(b"HTTP/1.0 200 "), (path, answer)


def test_forty_people_may_ask_for_pages_at_once(start: Callable[..., Running]) -> None:
    running = start()
    with ExitStack() as stack:
        links = [stack.enter_context(running.connect()) for _ in range(40)]
        for link in links:
            link.sendall(b"GET /qa/slow HTTP/1.0\r\n\r\n")
        answers = [read(link) for link in links]
    assert all(answer.startswith(b"HTTP/1.0 200") for answer in answers), answers


def test_who_collects_figures_does_not_wait_for_readers(
    app: App, start: Callable[..., Running]
) -> None:
    running = start()
    with ExitStack() as stack:
        for _ in range(20):
            link = stack.enter_context(running.connect())
            link.sendall(b"GET /qa/held HTTP/1.0\r\n\r\n")
        assert running.ask(b"GET /metrics HTTP/1.0\r\n\r\n").endswith(b"127.0.0.1 0")
        app.let_go.set()


@pytest.mark.parametrize(
    ("path", "lane"),
    [
        ("/", "quick"),
        ("/health", "quick"),
        ("/qa/static/charts.js", "quick"),
        ("/webhook", "events"),
        ("/setup", "setup"),
        ("/predict", "predict"),
        ("/qa/audit/7/0/frame.jpg", "pictures"),
        ("/metrics", "metrics"),
        ("/doctor", "pages"),
        ("/nowhere", "pages"),
    ],
)
def test_lanes(path: str, lane: str) -> None:
    assert lane_of(path) == lane


def test_the_start_page_is_no_matter_of_the_quick_ones() -> None:
    assert lane_of("/", "text/html,*/*;q=0.8") == "pages"
    assert lane_of("/health", "text/html") == "quick"


def test_what_computes_gives_way_to_what_is_quick(app: App, start: Callable[..., Running]) -> None:
    running = start()
    app.let_go.set()

    def priority(path: bytes) -> int:
        answer = running.ask(b"GET %s?priority HTTP/1.0\r\n\r\n" % path)
        return int(answer.rpartition(b"\r\n")[2])

    lower = 10 if sys.platform == "linux" else 0
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for path in b"/health", b"/webhook", b"/setup":
        assert priority(path) == own
    for path in b"/predict", b"/qa", b"/qa/audit/1/0/frame.jpg":
        assert priority(path) == min(own + lower, 19)
