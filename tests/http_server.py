"""A small HTTP server on this machine, for tests of what is fetched and sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What is sent back; ``body`` may be bytes, a value for JSON, or an iterator of bytes."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[[Request], Answer]


class Server:
    """Answers by path, and keeps the requests."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.fallback: Route | None = None  # for every other path
        self.requests: list[Request] = []
        self.targets: list[str] = []  # as they stood in the first lines
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        route = self.routes.get(request.path, self.fallback)
        return route(request) if route else Answer({"detail": "not found"}, 404)


@contextmanager
def http_server(port: int = 0) -> Iterator[Server]:
    """Run a server for the length of a test, at a free port where none is given."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            state.targets.append(self.path)
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = state.answer(Request(self.command, parts.path, parts.query, headers, body))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            chunks = answer.body
            if isinstance(chunks, dict | list):
                chunks = json.dumps(chunks).encode()
            if isinstance(chunks, bytes):
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(chunks)))
                chunks = [chunks]
            self.end_headers()
            try:
                for chunk in chunks:
                    self.wfile.write(chunk)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                pass

        do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = do_CONNECT = _handle

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    state.port = server.server_port
    # It ends where it looks up: by default every half second, for each test once more.
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
