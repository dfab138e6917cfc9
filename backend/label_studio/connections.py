"""Whose project is this, and how its Label Studio is reached."""

import logging
import threading
from datetime import datetime
from typing import Any, TypeGuard

from pydantic import SecretStr

from backend.database.keys import ProjectKey, is_this_machine, read_project, server_name
from backend.database.servers import ProjectServers
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.settings import Settings
from videogem.errors import InputError

logger = logging.getLogger(__name__)

MAX_ANNOUNCED = 1000  # projects whose announced tokens are kept; anybody may call /setup
ASK_TIMEOUT = (1, 1.5)  # seconds, during /setup, which Label Studio gives 3


class Connections:
    """Whose project is this, and how its Label Studio is reached: the one place that knows.

    A configured server is called by its configured address, whatever it names itself, and only
    there goes the configured key. A server that is not configured is called by the name it gives
    itself in /setup, and reached only on this machine, with the token it announced. A project's
    server, once known, stays: only a configured server that itself has that very project (same id
    and creation) may claim it.
    """

    def __init__(self, settings: Settings, known: ProjectServers | None = None) -> None:
        self._configured: dict[str, LabelStudio] = {}
        if settings.label_studio_url:
            name = server_name(settings.label_studio_url)
            key = settings.label_studio_api_key
            self._configured[name] = LabelStudio(settings.label_studio_url, key)
        for url, token in settings.further_servers().items():
            self._configured[server_name(url)] = LabelStudio(url, token)
        self._known = known or ProjectServers()
        self._announced: dict[ProjectKey, LabelStudio] = {}
        self._lock = threading.Lock()

    @property
    def only_server(self) -> str | None:
        """The name of the configured server, where there is exactly one."""
        return next(iter(self._configured)) if len(self._configured) == 1 else None

    def servers(self) -> dict[str, LabelStudio]:
        """Every server that is called, by its name; one that is not configured is there once."""
        with self._lock:
            announced = {key.server: server for key, server in self._announced.items()}
        return announced | self._configured

    def without_key(self) -> list[str]:
        """Names of servers that only a token announced to this very process opens."""
        opened = {name for name, server in self._configured.items() if server.has_token}
        return sorted(self.servers().keys() - opened)

    def announce(self, project: Any, hostname: Any, token: Any) -> ProjectKey | None:
        """Remember what /setup said about a project, as far as it can be believed."""
        number, created = _parse(project)
        if number is None:
            return None
        try:
            name = server_name(str(hostname or ""))
        except ValueError:
            return self.key(project)
        key = ProjectKey(self._server_of(number, created, name), number)
        self._keep_token(key, created, token if _is_token(token) else None)
        return key

    def key(self, project: Any, created_at: str | None = None) -> ProjectKey | None:
        """The key of a project as it is written in a request; None where no project is named.

        ``project`` is ``20``, ``"20.1795393766"`` (with its creation, as in /setup and /predict),
        or the object of a webhook, which has ``id`` and ``created_at``.
        """
        number, created = _parse(project, created_at)
        if number is None:
            return None
        if created is not None:
            server = self._known.get(number, created)
            return ProjectKey(server or self.only_server or "", number)
        if self.only_server:
            return ProjectKey(self.only_server, number)
        servers = self._known.of_id(number)
        return ProjectKey(servers.pop() if len(servers) == 1 else "", number)

    def named(self, text: str) -> tuple[ProjectKey, LabelStudio]:
        """The project a person names, ``20`` or ``20@http://server``, and its server.

        Raises:
            InputError: it is none, or its server is not configured with a key.
        """
        key = read_project(text)
        if not key.server:
            key = self.key(key.id) or key
        if not key.server and len(self._configured) > 1:
            named = " or ".join(f"{key.id}@{server}" for server in self._configured)
            raise InputError(f"Several Label Studio servers are configured; name one: {named}.")
        found = self.get(key)
        if found is None or not found.has_token:
            raise InputError(
                f"{key.server or 'Label Studio'} is not configured: set VIDEOGEM_LABEL_STUDIO_URL "
                "and VIDEOGEM_LABEL_STUDIO_API_KEY (others: VIDEOGEM_MORE_LABEL_STUDIOS) to its "
                "address and the key of a user who may see the project."
            )
        return key, found

    def get(self, key: ProjectKey | None) -> LabelStudio | None:
        """The server of a project; None where it is not known or must not be reached."""
        server = (key.server if key else "") or self.only_server or ""
        configured = self._configured.get(server)
        if key is None or (configured is not None and configured.has_token):
            return configured
        with self._lock:
            return self._announced.get(key._replace(server=server)) or configured

    def _server_of(self, number: int, created: int | None, name: str) -> str:
        known = self._known.get(number, created) if created is not None else None
        if known is not None and (known in self._configured or not self._configured):
            if known != name and (name in self._configured or not self._configured):
                logger.warning("project %d is on %s, not on %s as /setup says", number, known, name)
            return known
        candidates = [name] if name in self._configured else list(self._configured)
        found = None
        for server in candidates:
            has = self._has(self._configured[server], number, created)
            if has or (has is None and found is None and (name == server or self.only_server)):
                found = server  # nothing speaks against it; the next one may be sure
            if has:
                break
        if known is not None and not (found and has):
            return known
        server = found or name
        if created is not None and (not found or has or name == server):
            self._known.put(number, created, server)
        if not found and not is_this_machine(server):
            logger.warning(
                "project %d is on %s, which is not configured and not this machine: it is not "
                "asked for anything (VIDEOGEM_LABEL_STUDIO_URL, VIDEOGEM_MORE_LABEL_STUDIOS)",
                number, server,
            )  # fmt: skip
        return server

    def _keep_token(self, key: ProjectKey, created: int | None, token: str | None) -> None:
        """Use an announced token where no key is configured; another must prove itself first."""
        configured = self._configured.get(key.server)
        if configured is not None and (configured.has_token or not token):
            return
        if configured is None and not is_this_machine(key.server):
            return
        url = configured.url if configured else key.server
        secret = SecretStr(token) if token else None
        with self._lock:
            old = self._announced.get(key)
        if old is not None and old.signs_in_with(secret):
            return
        new = LabelStudio(url, secret, announced=configured is None)
        if old is not None and not self._has(new, key.id, created):
            logger.warning("project %d: the token of this /setup is not taken", key.id)
            return
        with self._lock:
            self._announced.pop(key, None)
            self._announced[key] = new
            while len(self._announced) > MAX_ANNOUNCED:  # the oldest announces itself again
                del self._announced[next(iter(self._announced))]

    @staticmethod
    def _has(server: LabelStudio, number: int, created: int | None) -> bool | None:
        """Whether a server has this very project; None where it cannot be told."""
        if not server.has_token or created is None:
            return None
        try:
            found = server.call("GET", f"/api/projects/{number}/", timeout=ASK_TIMEOUT)
        except LabelStudioError as error:
            return False if error.status == 404 else None
        moment = _moment(found.get("created_at")) if isinstance(found, dict) else None
        return None if moment is None else moment == created


def _is_token(value: Any) -> TypeGuard[str]:
    """Whether a header can carry it: printable ASCII of a sensible length."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and len(value) < 9000


def project_id(text: Any) -> int | None:
    """Label Studio writes a project as ``20`` or, with its creation, as ``"20.1795393766"``."""
    return _parse(text)[0]


def _parse(project: Any, created_at: Any = None) -> tuple[int | None, int | None]:
    """Id and creation (Unix time) of a project as requests write it."""
    if isinstance(project, dict):
        created_at = created_at or project.get("created_at")
        project = project.get("id")
    if isinstance(project, bool) or not isinstance(project, int | str):
        return None, None
    number, _, created = str(project).strip().partition(".")
    try:
        id = int(number)
        moment = int(created) if created else _moment(created_at)
    except ValueError:
        return None, None
    if not 0 <= id < 2**31 or (moment is not None and not 0 <= moment < 2**63):
        return None, None  # no database column takes it
    return id, moment


def _moment(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp())
    except (ValueError, OverflowError):
        return None
