"""Runs the app in this process: one, because the weights should be in memory once."""

import contextlib
import errno
import gc
import logging
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from flask import Flask

from backend.address import is_loopback_name
from backend.folders import check_folder
from backend.settings import Settings, load_settings
from videogem.backbones.known import check_model
from videogem.errors import InputError
from videogem.method.settings import method_settings

if TYPE_CHECKING:
    from backend.web.auth import Gate
    from backend.web.server import Refuse

logger = logging.getLogger(__name__)

Create = Callable[[Settings], Flask]

# Threads that compute in Python give way to others after so many seconds (5 ms by default): with
# eight of them at work, /health would wait for several turns of each.
SWITCH_SECONDS = 5e-4
CLOSE_SECONDS = 3.0  # for giving back the jobs under way


def run_server(*, host: str | None, port: int | None) -> None:
    """Serve until stopped; command line values win over the environment.

    Raises:
        InputError: a setting is wrong.
    """
    settings = load_settings()
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update=given)
    check_who_may_ask(settings)
    check_start(settings)
    logging.getLogger().setLevel(settings.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    serve(settings, create)


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


def check_start(settings: Settings) -> None:
    """Say what would end the start anyway, before anything is imported or loaded for it.

    Raises:
        InputError: model or method are unknown, nothing can be written to the data folder, or
            the port is taken.
    """
    check_model(settings.model)
    method_settings(settings.method)
    check_folder(settings.data_dir, "VIDEOGEM_DATA_DIR")
    check_port(settings.host, settings.port)


def check_port(host: str, port: int) -> None:
    """Refuse an address that another program listens on; what else is wrong, listening says.

    Raises:
        InputError: it is taken, or a port that only root may take.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return
    for family, kind, protocol, _, address in addresses:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                _tell_port(host, port, error)


def _tell_port(host: str, port: int, error: OSError) -> None:
    if error.errno == errno.EADDRINUSE:
        raise InputError(
            f"Port {port} of {host} is in use, perhaps by a backend that runs already. End that "
            "program, or choose another port with --port or VIDEOGEM_PORT."
        ) from None
    if error.errno == errno.EACCES:
        raise InputError(
            f"Port {port} may be taken by the administrator only; choose one from 1024 on with "
            "--port or VIDEOGEM_PORT."
        ) from None


def create(settings: Settings) -> Flask:
    """The app with its configured model and store."""
    from backend.web.app import create_app

    return create_app(settings)


def serve(settings: Settings, create: Create) -> None:
    """Make the app and answer requests until SIGTERM or SIGINT.

    Raises:
        InputError: the address cannot be listened on, or a setting names what does not exist.
    """
    from backend.web.auth import gate_of
    from backend.web.lanes import give_way
    from backend.web.server import Servers
    from backend.web.service import KEY

    sys.setswitchinterval(SWITCH_SECONDS)
    # The threads it starts (job list, model, weights, figures) shall not keep /health waiting.
    with ThreadPoolExecutor(1, initializer=give_way) as maker:
        app = maker.submit(create, settings).result()
    try:
        servers = Servers(
            app,
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            max_request_mb=settings.max_request_mb,
            refuse=refusing(gate_of(app)),
            trusted_proxy=settings.trusted_proxy,
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"Cannot listen on {settings.host}:{settings.port} (VIDEOGEM_HOST, VIDEOGEM_PORT): "
            f"{error}"
        ) from None
    for host, port in servers.addresses:
        logger.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    threading.Thread(
        target=keep_collections_short, args=(app,), name="collections", daemon=True
    ).start()
    servers.run()
    closing = threading.Thread(target=app.extensions[KEY].close, daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)


def refusing(gate: "Gate | None") -> "Refuse":
    """What tells why somebody may not send a large body; each such question counts as a try."""
    from backend.web.auth import SLOWER
    from backend.web.received import Refusal

    def refuse(headers: Mapping[str, str], address: str) -> Refusal | None:
        given = headers.get("AUTHORIZATION")
        if gate is None:
            return None
        if given is None:
            return Refusal.password()
        if seconds := gate.wait(address):
            return Refusal(429, SLOWER.format(seconds=seconds), {"Retry-After": str(seconds)})
        return None if gate.opens(given, address) else Refusal.password()

    return refuse


def keep_collections_short(app: Flask) -> None:
    """Once all is loaded, leave that out whenever Python looks for garbage: it lives on anyhow.

    A look at a model and its libraries takes some tenths of a second, in which nobody is answered.
    """
    from backend.labeling.validation import warm_up
    from backend.qa.words import load_words
    from backend.web.service import KEY

    app.extensions[KEY].models.default.wait()
    warm_up()
    load_words()  # a model brings them, but not one that could not be loaded
    gc.collect()
    gc.freeze()
