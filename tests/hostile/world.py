"""The whole backend with a free grounder, a Label Studio that cannot be trusted, and its log."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from flask import Flask

from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.hostile.requests import CONFIGS, Request
from tests.hostile.values import hostile, mutated
from tests.http_server import Answer, http_server
from tests.http_server import Request as Asked
from tests.images import png
from videogem.narration.prompts import base_words

PROJECT = {"id": 1, "title": "kitchen", "label_config": CONFIGS[1], "created_at": "2026-11-23"}
DELIBERATE = 503  # told in words: the weights are loading, the database is gone


@dataclass
class Fault:
    """A request, and what was wrong with its answer."""

    number: int
    request: Request
    problem: str


class LogWatch(logging.Handler):
    """Keeps what a person would find a traceback or a defect in."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info or "Traceback" in text or "defect" in text.lower():
            told = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self.found.append(f"{record.name}: {text}\n{told}")


@dataclass
class World:
    """A running backend, and everything that went wrong in it."""

    app: Flask
    log: LogWatch
    faults: list[Fault] = field(default_factory=list)
    slowest: float = 0.0  # seconds
    dearest: float = 0.0  # seconds of CPU time, of the thread that serves a request
    slowest_again: float = 0.0  # seconds, of what took too long when it was asked again
    statuses: dict[int, int] = field(default_factory=dict)

    def send(self, number: int, request: Request, *, limit_s: float | None = None) -> Any:
        """Send one, and note what no request may bring about."""
        before = len(self.log.found)
        start, begun = time.monotonic(), time.thread_time()
        answer = self._open(request)
        taken, cost = time.monotonic() - start, time.thread_time() - begun
        self.slowest, self.dearest = max(self.slowest, taken), max(self.dearest, cost)
        status = answer.status_code
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 500 and status != DELIBERATE:
            self._note(number, request, f"answered {answer.status}")
        if b"Defect in the backend" in answer.get_data()[:100_000]:
            self._note(number, request, "a defect was told")
        if limit_s is not None and cost > limit_s:
            self._note(number, request, f"took {cost:.1f} s of CPU time")
        if limit_s is not None and taken > limit_s:
            start = time.monotonic()  # once more: others use this machine, too
            self._open(request)
            again = time.monotonic() - start
            self.slowest_again = max(self.slowest_again, again)
            if again > limit_s and os.getloadavg()[0] < (os.cpu_count() or 1) + 1:
                self._note(number, request, f"took {taken:.1f} s, and {again:.1f} s once more")
        for told in self.log.found[before:]:
            self._note(number, request, told)
        return answer

    def _note(self, number: int, request: Request, problem: str) -> None:
        self.faults.append(Fault(number, request, problem))

    def _open(self, request: Request) -> Any:
        """As the server hands it over: WSGI's texts are bytes read as Latin-1."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query.encode("utf-8", "replace").decode("latin-1"),
        }
        for name, value in request.headers:
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = value.encode("utf-8", "replace").decode("latin-1")
        client = self.app.test_client()
        return client.open("/", data=request.body, environ_overrides={
            "PATH_INFO": _unquoted(request.path), "RAW_URI": request.path, **environ,
        })  # fmt: skip

    def settle(self, limit_s: float = 60.0) -> None:
        """Let the work in the background end."""
        service = self.app.extensions["videogem"]
        service.store.process_pending()
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            states = service.jobs.counts().values()
            if not any(counts["queued"] + counts["running"] for counts in states):
                break
            time.sleep(0.05)
        for told in self.log.found:
            if not any(told == fault.problem for fault in self.faults):
                self._note(-1, Request("", "in the background"), told)


def _unquoted(path: str) -> str:
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path).decode("latin-1")


@contextmanager
def hostile_world(folder: Path, seed: int = 0, **settings: Any) -> Iterator[World]:
    """A backend beside a Label Studio whose answers are true, changed, or nonsense."""
    random = Random(seed)
    lock = threading.Lock()

    def label_studio(asked: Asked) -> Answer:
        with lock:
            choice = random.random()
            if "/upload/" in asked.path:
                return Answer(
                    png(16, 12)
                    if choice < 0.7
                    else bytes(str(hostile(random)), "utf-8", "replace")[:5000]
                )
            if choice < 0.4:
                return Answer({**PROJECT, "tasks": [], "total": 0})
            if choice < 0.5:
                return Answer({"detail": "no"}, random.choice((401, 403, 404, 429, 500, 503)))
            made = mutated(random, {**PROJECT, "tasks": [{"id": 1, "data": {}}], "total": 1}, 3)
            body = made if isinstance(made, dict | list) else [made]
            return Answer(body)

    with http_server() as server:
        server.fallback = label_studio
        chosen: dict[str, Any] = {
            "data_dir": folder,
            "label_studio_url": server.url,
            "label_studio_api_key": "k" * 40,
            "prelabel_on_import": True,
            "qa_sync_minutes": 0,
            "media_timeout": 2,
            "predict_budget": 2,
            **settings,
        }
        base_words("cut the tomato")  # imports spaCy, which no request should wait for
        app = create_app(Settings(**chosen), FakeGrounder())
        log = LogWatch()
        logging.getLogger().addHandler(log)
        try:
            yield World(app, log)
        finally:
            logging.getLogger().removeHandler(log)
            app.extensions["videogem"].close()
