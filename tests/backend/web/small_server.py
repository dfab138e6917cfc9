"""A server with a small app, as raw sockets see it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from backend.settings import MEGABYTE

LARGE = 40 * MEGABYTE  # bytes of the answer to /qa/large
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


class Running:
    """A server with a small app, in a thread."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, *parts: bytes) -> bytes:
        """What comes back until the server closes."""
        with self.connect() as link:
            for part in parts:
                link.sendall(part)
            return read(link)

    def health(self) -> float:
        """Seconds that /health takes."""
        begun = time.monotonic()
        answer = self.ask(b"GET /health HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 200"), answer
        return time.monotonic() - begun


def read(link: socket.socket) -> bytes:
    found = b""
    while part := link.recv(65536):
        found += part
    return found


class App:
    """Answers with the length of the body; ``/predict`` and ``/qa/held`` wait to be let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] in ("/predict", "/qa/held"):
            self.let_go.wait(20)
        headers = [("Content-Type", "text/plain")]
        if environ["PATH_INFO"] == "/qa/large":
            headers.append(("Content-Length", str(LARGE)))
        start("200 OK", headers)
        if environ["PATH_INFO"] == "/qa/slow":
            time.sleep(0.1)
        if environ["PATH_INFO"] == "/qa/large":
            return (bytes(MEGABYTE) for _ in range(LARGE // MEGABYTE))
        if environ["QUERY_STRING"] == "priority":
            return [str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).encode()]
        return [f"{environ['REMOTE_ADDR']} {len(body)}".encode()]
