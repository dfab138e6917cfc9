"""Who may speak: strange host names and other people's web pages are turned away at the door.

A browser sends requests wherever a page tells it to. Where no password is asked for, a page the
operator visits could thus speak to the backend: from its own origin, or by a name of its own that
leads to this machine (DNS rebinding). Programs such as Label Studio send none of a browser's marks.
"""

from urllib.parse import urlsplit

from flask import Flask, Response, request

from backend.address import is_ip, is_loopback_name, plain_address
from backend.settings import Settings
from backend.web.auth import require_basic_auth

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # charts set the styles of what they draw
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STRANGE_HOST = (
    "This backend is not known as {host!r}: add the name to VIDEOGEM_PUBLIC_HOSTS, or set a "
    "password (VIDEOGEM_BASIC_AUTH_USER and VIDEOGEM_BASIC_AUTH_PASSWORD)."
)
FROM_ELSEWHERE = (
    "This backend answers its own machine alone: set VIDEOGEM_BASIC_AUTH_USER and "
    "VIDEOGEM_BASIC_AUTH_PASSWORD (and enter them in Label Studio's connect dialog), or "
    "VIDEOGEM_OPEN=true if everybody may ask."
)
CROSS_SITE = "Refused: the request comes from a page of another site."


def close_door(app: Flask, settings: Settings) -> None:
    """All of the door, for an app whose server listens where it likes.

    `videogem serve` refuses to listen to a network without a password. Here it is the requests
    from there that are refused.
    """
    if settings.basic_auth_password is None and not settings.open:
        app.before_request(_refuse_others)
    guard_door(app, settings)
    require_basic_auth(app, settings)


def _refuse_others() -> Response | None:
    here = is_loopback_name(plain_address(request.remote_addr or ""))
    return None if here else _refused(403, FROM_ELSEWHERE)


def guard_door(app: Flask, settings: Settings) -> None:
    """Check host and origin of every request, and put security headers on every answer."""
    known = {"localhost", settings.host.lower(), *settings.public_hosts}
    names_matter = settings.basic_auth_password is None

    @app.before_request
    def check() -> Response | None:
        if names_matter and not _is_known(request.host, known):
            host = request.host or request.headers.get("Host", "")  # "" where it cannot be read
            return _refused(400, STRANGE_HOST.format(host=host[:100]))
        if _is_cross_site():
            return _refused(403, CROSS_SITE)
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _is_known(host: str, known: set[str]) -> bool:
    """Whether a Host header names this backend; an address cannot be rebound, a name can."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    return name in known or is_ip(name)


def _is_cross_site() -> bool:
    """Whether a browser says that another site's page asks; following a link is fine."""
    follows_link = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if follows_link:
        return False
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # which pages cannot set; a proxy may have changed the host since
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and _place(origin) != request.host.lower()


def _place(origin: str) -> str | None:
    """Host and port of an origin; None where it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _refused(status: int, reason: str) -> Response:
    # The status line is the only text that Label Studio's connect dialog shows.
    line = reason.encode("latin-1", "replace").decode("latin-1")
    return Response(reason + "\n", status=f"{status} {line}", mimetype="text/plain")
