"""Backends for the end-to-end tests: as people start them, or inside the test."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import make_server

from backend.demo.processes import ServerProcess, free_port, local_environment
from tests.fakes import FakeGrounder
from videogem.grounder import Grounder

if TYPE_CHECKING:
    from flask import Flask

    from backend.qa.store import Store

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Backend:
    """A running backend: its address, and what ends it."""

    url: str
    stop: Callable[[], None]


def serve(settings: dict[str, Any], log: Path) -> Backend:
    """`videogem serve` as people start it."""
    port = free_port(settings.pop("port", None))
    variables = {f"VIDEOGEM_{name.upper()}": str(value) for name, value in settings.items()}
    process = ServerProcess(
        "videogem serve",
        [sys.executable, "-c", "from backend.cli import main; main()", "serve"],
        log=log,
        env=local_environment(VIDEOGEM_HOST="127.0.0.1", VIDEOGEM_PORT=str(port), **variables),
        cwd=ROOT,
    )
    url = f"http://localhost:{port}"
    process.start()
    try:
        process.wait_until_answering(f"{url}/health", seconds=120)
    except BaseException:
        process.stop()
        raise
    return Backend(url, process.stop)


def serve_here(grounder: Grounder, settings: dict[str, Any]) -> Backend:
    """The backend's app in a thread of this process, round the given grounder."""
    from backend.qa.store import Store
    from backend.settings import Settings
    from backend.web.app import create_app

    port = free_port(settings.pop("port", None))
    values = Settings(host="127.0.0.1", port=port, **settings)
    values.data_dir.mkdir(parents=True, exist_ok=True)
    store = Store(values.database)
    return Backend(f"http://localhost:{port}", _serve(create_app(values, grounder, store), port))


@contextmanager
def quality_pages(
    folder: Path, events: Iterable[dict[str, Any]], label_studio_url: str = "http://labels.example"
) -> Iterator[tuple[str, "Store"]]:
    """A backend in this process that has counted these events and calls no Label Studio.

    Gives its address and its store.
    """
    from backend.qa.store import Store
    from backend.settings import Settings
    from backend.web.app import create_app

    store = Store(f"sqlite:///{folder}/qa.db")
    for event in events:
        store.append_event(event)
    store.process_pending()  # a page waits 2 s for them only, which a busy machine may exceed
    values = Settings(data_dir=folder, label_studio_url=label_studio_url, qa_sync_minutes=0)
    port = free_port(None)
    stop = _serve(create_app(values, FakeGrounder(), store), port)
    try:
        yield f"http://127.0.0.1:{port}", store
    finally:
        stop()


def _serve(app: "Flask", port: int) -> Callable[[], None]:
    """Serve an app in a thread; what is returned ends both."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["videogem"].close()

    return stop
