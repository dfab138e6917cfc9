"""The server by raw sockets: what is half sent, too large or misshapen holds nothing up."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection

import pytest

from backend.settings import MEGABYTE
from backend.web import received, server
from backend.web.lanes import widths
from backend.web.received import Refusal
from tests.backend.web.small_server import HEAD, LARGE, App, Running, read


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"Content-Length: 50\r\n\r\n{"])
def test_half_sent_requests_hold_no_thread_and_no_connection(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(received, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(received, "GRACE_SECONDS", 1.0)
    running = start()
    with ExitStack() as stack:
        links = [stack.enter_context(running.connect()) for _ in range(400)]
        for link in links[-300:]:  # the others have been closed to make room
            link.sendall(sent)
        for _ in range(5):
            assert running.health() < 10
        answers = []
        for link in links[-100:]:
            with suppress(ConnectionResetError):  # closed to make room
                answers.append(read(link))
    assert any(answer[8:].startswith(b" 408 The request did not come") for answer in answers)


def test_whoever_is_gone_before_the_refusal_is_no_defect(
    start: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    came, gone = threading.Event(), threading.Event()

    def refuse(*_: object) -> Refusal:
        came.set()
        gone.wait(10)
        return Refusal.password()

    running = start(refuse=refuse)
    for _ in range(5):
        came.clear(), gone.clear()
        link = running.connect()
        link.sendall(HEAD + b"Content-Length: 100000\r\n\r\n{")
        assert came.wait(10)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # torn down
        link.close()
        gone.set()
        assert running.health() < 10
    assert "Traceback" not in caplog.text


def test_a_body_that_drips_is_ended(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.2)
    running = start()
    with running.connect() as link:
        link.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(200):
                link.sendall(b"x")
                time.sleep(0.1)


def test_an_answer_that_nobody_takes_is_ended(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.5)
    running = start()
    with ExitStack() as stack:
        for _ in range(widths(4)["pages"].threads):  # every thread that serves such answers
            link = stack.enter_context(running.connect())
            link.sendall(b"GET /qa/large HTTP/1.0\r\n\r\n")
        assert running.ask(b"GET /qa HTTP/1.0\r\n\r\n").endswith(b"127.0.0.1 0")


def test_the_time_for_an_answer_begins_with_that_answer(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LONGEST_SECONDS", 2.0)
    with start().connect() as link:
        for _ in range(2):
            link.sendall(b"GET /qa/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(1.3)  # so that it is seen unfinished
            found = 0
            while found < LARGE:
                part = link.recv(1 << 20)
                assert part, f"closed after {found} bytes"
                found += len(part.partition(b"\r\n\r\n")[2] if not found else part)
            time.sleep(1.5)


def test_what_is_too_large_is_told_in_words(start: Callable[..., Running]) -> None:
    running = start()
    size = 4 * MEGABYTE
    answer = running.ask(HEAD + b"Content-Length: %d\r\n\r\n" % size, bytes(size))
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert b"larger than 3 MB (VIDEOGEM_MAX_REQUEST_MB)" in answer.splitlines()[0]
    assert b"Content-Security-Policy" in answer


def test_who_may_not_ask_sends_nothing_large(start: Callable[..., Running]) -> None:
    def refuse(headers: Mapping[str, str], _address: str) -> Refusal | None:
        right = headers.get("AUTHORIZATION") == "Basic right"
        return None if right else Refusal.password()

    running = start(refuse=refuse)
    size = 200_000
    head = b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    length = b"Content-Length: %d\r\n\r\n" % size
    assert running.ask(head + length, bytes(size)).startswith(b"HTTP/1.1 401 ")
    known = head + b"Authorization: Basic right\r\n"
    assert running.ask(known + length, bytes(size)).endswith(b"127.0.0.1 200000")


def test_large_bodies_take_turns(
    app: App, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "TURN_SECONDS", 0.5)
    running = start()
    size = 2 * MEGABYTE
    large = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size, bytes(size)
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(running.ask(*large)))
        for _ in range(server.LARGE_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    refused = running.ask(*large)
    assert refused.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 5" in refused, refused
    assert running.health() < 5
    app.let_go.set()
    for thread in threads:
        thread.join()
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    assert running.ask(*large).startswith(b"HTTP/1.1 200 ")  # their turns were given back


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 411),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: -5\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: +5\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: 0x5\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello", 413),
        (HEAD + b"Content-Length : 5\r\n\r\nhello", 400),
        (HEAD + b" folded\r\n: x\r\n\r\n", 400),
        (HEAD + b"A: b\rc\r\n\r\n", 400),
        (HEAD + b"A: b\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"A: b\0c\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
)
def test_misshapen_requests_are_refused(
    start: Callable[..., Running], request_: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = start().ask(request_)
    assert answer.startswith((b"HTTP/1.1 %d " % code, b"HTTP/1.0 %d " % code)), answer
    assert answer.count(b"HTTP/1.") == 1  # what came after it is no request
    assert not caplog.records


def test_the_address_of_a_proxy_is_believed_only_where_it_is_set(
    start: Callable[..., Running],
) -> None:
    request = b"GET /setup HTTP/1.0\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"
    assert start().ask(request).endswith(b"127.0.0.1 0")
    assert start(trusted_proxy="127.0.0.1").ask(request).endswith(b"203.0.113.7 0")


def test_a_large_body_is_asked_for_of_who_the_trusted_proxy_names(
    start: Callable[..., Running],
) -> None:
    asked: list[str] = []
    refuse = lambda _headers, address: asked.append(address)  # noqa: E731
    head = b"POST /webhook HTTP/1.0\r\nX-Forwarded-For: 9.9.9.9, 203.0.113.7\r\n"
    body = b"Content-Length: 200000\r\n\r\n", bytes(200_000)
    start(refuse=refuse).ask(head, *body)
    start(refuse=refuse, trusted_proxy="127.0.0.1").ask(head, *body)
    assert asked == ["127.0.0.1", "203.0.113.7"]


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("::ffff:203.0.113.7", "203.0.113.7"),  # a proxy that listens for IPv4 and IPv6 at once
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db8::1]:51234", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("1.1.1.1, ::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "unknown"),
        ("", "127.0.0.1"),
    ],
)
def test_one_client_of_a_proxy_is_one_address_for_app_and_server(
    start: Callable[..., Running], told: str, address: str
) -> None:
    asked: list[str] = []
    refuse = lambda _headers, address: asked.append(address)  # noqa: E731
    head = f"POST /webhook HTTP/1.0\r\nX-Forwarded-For: {told}\r\n".encode()
    running = start(refuse=refuse, trusted_proxy="127.0.0.1")
    answer = running.ask(head, b"Content-Length: 200000\r\n\r\n", bytes(200_000))
    assert answer.endswith(f"{address} 200000".encode())
    assert asked == [address]


@pytest.mark.parametrize("told", ["https", "https, http", "HTTPS,https", "ftp", ""])
def test_no_scheme_that_proxies_tell_is_misshapen(start: Callable[..., Running], told: str) -> None:
    request = f"GET /setup HTTP/1.0\r\nX-Forwarded-Proto: {told}\r\n\r\n".encode()
    answer = start(trusted_proxy="127.0.0.1").ask(request)
    assert answer.startswith(b"HTTP/1.0 200 "), answer


def test_who_expects_to_be_told_to_go_on_is(start: Callable[..., Running]) -> None:
    head = b"POST /webhook HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\n"
    running = start()
    answer = running.ask(head + b"Content-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 100 ") and answer.endswith(b"127.0.0.1 2")
    assert running.ask(head + b"\r\n").startswith(b"HTTP/1.1 200 ")  # no body to wait for
    large = running.ask(head + b"Content-Length: 99999999999\r\n\r\n")
    assert large.startswith(b"HTTP/1.1 413 ")


def test_pipelined_requests_are_answered_in_their_order(start: Callable[..., Running]) -> None:
    body = b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
    last = b"GET /setup HTTP/1.0\r\n\r\n"
    answer = start().ask(body % (3, b"abc") + body % (1, b"a") + body % (2, b"ab") + last)
    lengths = [part.splitlines()[-1][-1:] for part in answer.split(b"HTTP/1.")[1:]]
    assert lengths == [b"3", b"1", b"2", b"0"]


class Clock:
    """The time that the server sees, which can leap."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(server, "time", clock)
    return clock


@contextmanager
def staying(running: Running) -> Iterator[tuple[HTTPConnection, Callable[[str], int]]]:
    """One connection, and what asks for a path on it and gives the answer's code."""
    link = HTTPConnection("127.0.0.1", running.port, timeout=20)
    link.connect()
    link.auto_open = 0

    def ask(path: str) -> int:
        link.request("GET", path)
        answer = link.getresponse()
        answer.read()
        return answer.status

    with closing(link):
        yield link, ask


def test_a_connection_waits_a_minute_for_its_next_request(
    start: Callable[..., Running], clock: Clock
) -> None:
    with staying(start()) as (link, ask):
        assert ask("/setup") == 200
        clock.ahead = 30
        time.sleep(2.5)  # the server looks every second
        assert ask("/setup") == 200
        clock.ahead = 100
        assert link.sock.recv(1) == b""  # closed


def test_a_connection_lives_on_after_an_answer_that_took_minutes(
    app: App, start: Callable[..., Running], clock: Clock
) -> None:
    with staying(start()) as (_, ask):

        def leap() -> None:
            clock.ahead = 200
            app.let_go.set()

        threading.Timer(0.5, leap).start()
        assert ask("/predict") == 200
        time.sleep(2.5)
        assert ask("/setup") == 200
