"""A small load balancer: each request goes to the next backend that takes it."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

PASSED_ON = ("Content-Type", "Authorization", "Host")


class Balancer(ThreadingHTTPServer):
    """Knows nothing of what it passes on: no session stays with a backend."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backends: list[str] = []
        self.served: list[str] = []  # by which backend
        self._next = itertools.count()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}"

    def turn(self) -> list[str]:
        """All backends, beginning with the next one's turn."""
        backends = list(self.backends)
        first = next(self._next) % max(1, len(backends))
        return backends[first:] + backends[:first]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Balancer

    def _pass_on(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        for backend in self.server.turn():
            try:
                answer = requests.request(
                    self.command, backend + self.path, data=body, headers=headers, timeout=120
                )
            except requests.ConnectionError:  # it is down, or was killed in the middle of it
                continue
            self.server.served.append(backend)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
            return
        self.send_error(502)

    do_GET = do_POST = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def balancer() -> Iterator[Balancer]:
    """One for the length of a test."""
    server = Balancer()
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
