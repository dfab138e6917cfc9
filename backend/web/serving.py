"""Runs the app under gunicorn (one worker, threads) or waitress."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask

from backend.settings import Settings, load_settings

Create = Callable[[Settings], Flask]

REQUEST_TIMEOUT = 3700  # seconds; longer than the longest VIDEOGEM_PREDICT_BUDGET


def run_server(*, host: str | None, port: int | None, server: str) -> None:
    """Serve until stopped; command line values win over the environment.

    Raises:
        InputError: a setting is wrong.
    """
    settings = load_settings()
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update=given)
    logging.getLogger().setLevel(settings.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if server == "waitress":
        run_waitress(settings, create)
    else:
        run_gunicorn(settings, create)


def create(settings: Settings) -> Flask:
    """The app with its configured model and store."""
    from backend.web.app import create_app

    return create_app(settings)


def run_waitress(settings: Settings, create: Create) -> None:
    """Serve from this process: for systems where forking is not safe."""
    import waitress

    waitress.serve(
        create(settings), host=settings.host, port=settings.port, threads=settings.threads
    )


def run_gunicorn(settings: Settings, create: Create) -> None:
    """Serve from one worker process with threads."""
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
        """One worker, because the weights should be in memory once; the app is made after the
        fork, because CUDA does not survive one.
        """

        def load_config(self) -> None:
            options: dict[str, Any] = {
                "bind": f"{settings.host}:{settings.port}",
                "workers": 1,
                "threads": settings.threads,
                "worker_class": "gthread",
                "preload_app": False,
                "timeout": REQUEST_TIMEOUT,
                "graceful_timeout": 5,
                "keepalive": 5,
                "control_socket_disable": True,  # it would be written to the home folder
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            return create(settings)

    Application().run()
