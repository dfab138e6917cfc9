"""Runs the app under gunicorn (one worker, threads) or waitress."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask

from backend.address import is_loopback_name
from backend.settings import Settings, load_settings
from videogem.errors import InputError

logger = logging.getLogger(__name__)

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
    check_who_may_ask(settings)
    logging.getLogger().setLevel(settings.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if server == "waitress":
        run_waitress(settings, create)
    else:
        run_gunicorn(settings, create)


def check_who_may_ask(settings: Settings) -> None:
    """Refuse to listen to a network without a password, unless that is asked for by name.

    Raises:
        InputError: no password, and the address is not this machine's own.
    """
    if settings.basic_auth_password is not None or is_loopback_name(settings.host):
        return
    if not settings.open:
        raise InputError(
            f"The backend would listen on {settings.host} and answer everybody there. Set "
            "VIDEOGEM_BASIC_AUTH_USER and VIDEOGEM_BASIC_AUTH_PASSWORD (and enter them in Label "
            "Studio's connect dialog), or VIDEOGEM_HOST=127.0.0.1, or VIDEOGEM_OPEN=true if that "
            "is what you want."
        )
    logger.warning(
        "VIDEOGEM_OPEN: everybody who reaches %s:%d may read media through this backend, and "
        "write figures and predictions", settings.host, settings.port,
    )  # fmt: skip


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
