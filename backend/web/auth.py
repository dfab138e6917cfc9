"""Basic authentication of the backend: everything but /health (and / for programs, the same)."""

import base64
import hmac
import logging
import math
from collections.abc import Callable
from contextlib import suppress

from flask import Flask, Response, request

from backend.settings import Settings
from backend.web.accepts import wants_html
from backend.web.logins import Logins

logger = logging.getLogger(__name__)

GATE = "gate"
OPEN_PATHS = frozenset({"/health", "/"})
# In the status line: all that Label Studio's connect dialog shows.
UNAUTHORIZED = (
    "This backend asks for a password: choose 'Basic Authentication' in Label Studio's connect "
    "dialog and enter VIDEOGEM_BASIC_AUTH_USER and VIDEOGEM_BASIC_AUTH_PASSWORD of the backend"
)
WRONG = "Wrong user or password: they are " + UNAUTHORIZED.partition("enter ")[2]
SLOWER = "Too many wrong passwords from this address: wait {seconds} s"


class Gate:
    """Looks at passwords, for the app and for the server before it; guessing is slowed down."""

    def __init__(self, settings: Settings) -> None:
        self._opens = password_check(settings)
        self._logins = Logins()

    def wait(self, address: str | None) -> int:
        """Seconds until a password from there is looked at; 0 for now."""
        return math.ceil(self._logins.wait(address))

    def opens(self, given: str, address: str | None) -> bool:
        """Whether an Authorization header opens; it counts as one of the address's tries."""
        if self._opens(given):
            self._logins.succeeded(address)
            return True
        self._logins.failed(address)
        return False


def gate_of(app: Flask) -> Gate | None:
    """The gate of an app that asks for a password."""
    gate: Gate | None = app.extensions.get(GATE)
    return gate


def require_basic_auth(app: Flask, settings: Settings) -> None:
    """Ask for user and password on every path but /health, where they are configured."""
    if basic_auth_header(settings) is None:
        return
    gate = app.extensions[GATE] = Gate(settings)

    @app.before_request
    def check() -> Response | None:
        page = request.path == "/" and wants_html()
        if request.path in OPEN_PATHS and "details" not in request.args and not page:
            return None
        given = request.headers.get("Authorization")
        if given is None:
            return _refused(401, UNAUTHORIZED)
        if seconds := gate.wait(request.remote_addr):
            answer = _refused(429, SLOWER.format(seconds=seconds))
            answer.headers["Retry-After"] = str(seconds)
            return answer
        return None if gate.opens(given, request.remote_addr) else _refused(401, WRONG)


def password_check(settings: Settings) -> Callable[[str], bool]:
    """What tells whether an Authorization header opens; without a password all do."""
    # As browsers write it, and as Label Studio's HTTP client does (Latin-1).
    accepted = [_header(settings, encoding) for encoding in ("utf-8", "latin-1")]
    if accepted[0] is None:
        return lambda _given: True

    def opens(given: str) -> bool:
        scheme, _, rest = given.partition(" ")
        given = f"Basic {rest.strip()}" if scheme.lower() == "basic" else given
        # Compared as bytes: a name beyond ASCII makes compare_digest of text fail.
        came = given.encode("utf-8", "replace")
        return any([hmac.compare_digest(came, each.encode()) for each in accepted if each])

    return opens


def basic_auth_header(settings: Settings) -> str | None:
    """The Authorization header of the configured user, or None without one."""
    return _header(settings, "utf-8")


def _header(settings: Settings, encoding: str) -> str | None:
    user, password = settings.basic_auth_user, settings.basic_auth_password
    if user is None or password is None:
        return None
    with suppress(UnicodeEncodeError):
        pair = f"{user}:{password.get_secret_value()}".encode(encoding)
        return "Basic " + base64.b64encode(pair).decode()
    return None


def _refused(status: int, reason: str) -> Response:
    if request.path == "/webhook":
        logger.error(
            "a webhook came without the password and is lost: Label Studio does not send the "
            "backend's password with webhooks. With VIDEOGEM_LABEL_STUDIO_API_KEY the backend "
            "sets the webhook's header itself; else set it in the project's settings"
        )
    answer = Response(reason + "\n", status=f"{status} {reason}", mimetype="text/plain")
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="VideoGEM", charset="UTF-8"'
    return answer
