"""Backends for the end-to-end tests: as people start them, or inside the test."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from backend.demo.processes import ServerProcess, free_port, local_environment
from videogem.grounder import Grounder

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
    app = create_app(values, grounder, store)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["videogem"].close()

    return Backend(f"http://localhost:{port}", stop)
