"""Basic authentication of the backend: everything but /health."""

import base64
import hmac
import logging

from flask import Flask, Response, request

from backend.settings import Settings

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/"})


def require_basic_auth(app: Flask, settings: Settings) -> None:
    """Ask for user and password on every path but /health, where they are configured."""
    expected = basic_auth_header(settings)
    if expected is None:
        return

    @app.before_request
    def check() -> Response | None:
        if request.path in OPEN_PATHS:
            return None
        given = request.headers.get("Authorization", "")
        # Compared as bytes: a name beyond ASCII makes compare_digest of text fail.
        if hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            return None
        if request.path == "/webhook":
            logger.error(
                "a webhook came without the password and is lost: Label Studio does not send the "
                "backend's password with webhooks; set the header in the webhook itself "
                "(`videogem doctor` does it with a token)"
            )
        answer = Response("Unauthorized", status=401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="VideoGEM", charset="UTF-8"'
        return answer


def basic_auth_header(settings: Settings) -> str | None:
    """The Authorization header of the configured user, or None without one."""
    if settings.basic_auth_user is None or settings.basic_auth_password is None:
        return None
    pair = f"{settings.basic_auth_user}:{settings.basic_auth_password.get_secret_value()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
