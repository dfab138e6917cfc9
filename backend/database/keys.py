"""Who is meant: everything kept or queued belongs to a project of one Label Studio server."""

from typing import NamedTuple
from urllib.parse import urlsplit

from videogem.errors import InputError

LONGEST_NAME = 400  # characters of a server, as the columns hold
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProjectKey(NamedTuple):
    """A project of one server; two servers count their projects from 1 each.

    ``server`` is the configured address of a server that is configured, else the address as Label
    Studio names itself, in the form of ``server_name``; empty where nobody has told yet.
    """

    server: str
    id: int


def server_name(url: str) -> str:
    """An address as the name of a server: lower case, no slash at the end, one loopback name.

    >>> server_name("HTTP://127.0.0.1:8080/"), server_name("https://example.org:443/studio")
    ('http://localhost:8080', 'https://example.org/studio')

    Raises:
        ValueError: it is not an http address, or none that a database takes and people can read.
    """
    url = url.strip()
    if len(url) > LONGEST_NAME or not url.isprintable():
        raise ValueError(f"not the address of a server: {url[:100]!r}")
    parts = urlsplit(url)
    scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    if scheme not in ("http", "https") or not host or parts.username is not None or "\\" in url:
        raise ValueError(f"not the address of a server: {url!r}")
    host = "localhost" if host in LOOPBACK else f"[{host}]" if ":" in host else host
    at = "" if port in (None, {"http": 80, "https": 443}[scheme]) else f":{port}"
    return f"{scheme}://{host}{at}{parts.path.rstrip('/')}"


def project_text(project: ProjectKey) -> str:
    """A project as people write it: ``3``, or ``3@http://server``."""
    return f"{project.id}@{project.server}" if project.server else str(project.id)


def read_project(text: str) -> ProjectKey:
    """A project as ``project_text`` writes it; its server is empty where only a number is given.

    Raises:
        InputError: the project is no number, or the server no address.
    """
    number, at, server = text.strip().partition("@")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise InputError(f"project must be a project's number, or number@server, got {text!r}.")
    try:
        return ProjectKey(server_name(server) if at else "", int(number))
    except ValueError:
        raise InputError(
            f"project must be a project's number, or number@server with the server's address as "
            f"in '3@http://localhost:8080', got {text!r}."
        ) from None


def is_this_machine(server: str) -> bool:
    """Say whether a name made by ``server_name`` leads to this machine."""
    return urlsplit(server).hostname == "localhost"
