"""Basic authentication of the backend: everything but /health."""

import base64
import hmac
import logging
from contextlib import suppress

from flask import Flask, Response, request
from pydantic import SecretStr

from backend.settings import Settings

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/"})


def require_basic_auth(app: Flask, settings: Settings) -> None:
    """Ask for user and password on every path but /health, where they are configured."""
    accepted = _accepted(settings)
    if not accepted:
        return

    @app.before_request
    def check() -> Response | None:
        if request.path in OPEN_PATHS:
            return None
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        # Compared as bytes: a name beyond ASCII makes compare_digest of text fail.
        if any([hmac.compare_digest(given, header.encode()) for header in accepted]):
            return None
        if request.path == "/webhook":
            logger.error(
                "a webhook came without the password and is lost: Label Studio does not send the "
                "backend's password with webhooks. With VIDEOGEM_LABEL_STUDIO_API_KEY the backend "
                "sets the webhook's header itself; else set it in the project's settings"
            )
        answer = Response("Unauthorized", status=401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="VideoGEM", charset="UTF-8"'
        return answer


def basic_auth_header(settings: Settings) -> str | None:
    """The Authorization header of the configured user, or None without one."""
    if settings.basic_auth_user is None or settings.basic_auth_password is None:
        return None
    return _header(settings.basic_auth_user, settings.basic_auth_password, "utf-8")


def _accepted(settings: Settings) -> list[str]:
    """The header as browsers write it, and as Label Studio's HTTP client does (Latin-1)."""
    user, password = settings.basic_auth_user, settings.basic_auth_password
    if user is None or password is None:
        return []
    headers = [_header(user, password, "utf-8")]
    with suppress(UnicodeEncodeError):
        headers.append(_header(user, password, "latin-1"))
    return headers


def _header(user: str, password: SecretStr, encoding: str) -> str:
    pair = f"{user}:{password.get_secret_value()}".encode(encoding)
    return "Basic " + base64.b64encode(pair).decode()
