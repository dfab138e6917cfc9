"""A server with a small app, for tests by raw sockets."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from backend.web.server import Servers
from tests.backend.web.small_server import App, Running


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def start(app: App) -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:

        def make(**options: Any) -> Running:
            values = {"max_request_mb": 3, "refuse": lambda *_: None} | options
            servers = Servers(app, host="127.0.0.1", port=0, threads=4, **values)
            thread = threading.Thread(target=servers.loop, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(servers.close)
            stack.callback(app.let_go.set)
            return Running(servers.addresses[0][1])

        yield make
