"""Label Studio's REST API: where it is, how to sign in, and the few calls the backend makes."""

import base64
import binascii
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import SecretStr

from backend.address import Origin
from backend.database.keys import ProjectKey, is_this_machine, server_name
from backend.database.servers import ProjectServers
from backend.guard import LOCAL_NETWORKS, Session, open_session
from backend.settings import MEGABYTE, Settings
from videogem.errors import InputError

logger = logging.getLogger(__name__)

PAGE_SIZE = 100  # tasks; larger pages make Label Studio slow
LOOK_UP_SIZE = 500  # tasks without their data: 0.2 s
TIMEOUT = (5, 60)  # seconds to connect, and between bytes
ANSWER_S = 120.0  # seconds one answer may take in all
MAX_ANSWER = 64 * MEGABYTE  # a page of 100 tasks with masks has some MB
CHUNK = 1 << 16
ASK_TIMEOUT = (1, 1.5)  # during /setup, which Label Studio gives 3 seconds
SAVING = (5, 110)  # while predictions are saved: then it counts for all tasks anew
EARLY_REFRESH = 30.0  # seconds before its end that an access token counts as spent


class LabelStudioError(InputError):
    """Label Studio refused or could not be reached; the message says what to check."""

    def __init__(self, message: str, status: int | None = None, path: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.path = path  # of the API, where a status came

    @property
    def is_about_the_request(self) -> bool:
        """Whether trying again later would not help: something was sent that is not accepted."""
        return self.status in (400, 404, 409, 413, 422)


@dataclass(frozen=True)
class TaskPage:
    """Some tasks of a project, and how many it has in all."""

    tasks: list[dict[str, Any]]
    total: int

    @staticmethod
    def versions(task: dict[str, Any]) -> list[str]:
        """Model versions of the predictions a task has."""
        joined = task.get("predictions_model_versions") or ""
        return [version.strip() for version in str(joined).split(",") if version.strip()]


class LabelStudio:
    """One Label Studio server and the token for it. Safe to use from several threads.

    Only an address somebody configured is trusted whatever it leads to; one that came with /setup
    must not lead to link-local addresses.
    """

    def __init__(self, url: str, token: SecretStr | None, *, announced: bool = False) -> None:
        self.url = url.rstrip("/")
        self.origin = Origin.of(url)
        self._token = token
        self._access: tuple[str, float] | None = None  # token, when it ends (Unix time)
        self._lock = threading.Lock()
        self._networks = LOCAL_NETWORKS if announced else None
        self._session = self.open_session()

    def open_session(self) -> Session:
        """A session for requests to this server."""
        return open_session(self._networks)

    def key(self, project: int) -> ProjectKey:
        """The key of a project of this server."""
        return ProjectKey(server_name(self.url), project)

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def absolute(self, path: str) -> str:
        """Address of a path that Label Studio wrote into a task, with the server's sub-path."""
        prefix = urlsplit(self.url).path
        root = self.url.removesuffix(prefix) if prefix else self.url
        if prefix and path.startswith(prefix + "/"):
            return root + path
        return self.url + path

    def authorization(self) -> dict[str, str]:
        """The header that signs a request in; only ever for addresses of ``origin``."""
        if self._token is None:
            return {}
        token = self._token.get_secret_value()
        if not _is_personal(token):
            return {"Authorization": f"Token {token}"}
        with self._lock:
            if self._access is None or self._access[1] - EARLY_REFRESH < time.time():
                self._access = self._refresh(token)
            return {"Authorization": f"Bearer {self._access[0]}"}

    def _refresh(self, token: str) -> tuple[str, float]:
        """A personal access token buys an access token that lives for some minutes."""
        response = self._send("POST", "/api/token/refresh/", json={"refresh": token}, headers={})
        access = str(response["access"])
        return access, float(_claims(access).get("exp", time.time() + 60))

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        timeout: Any = TIMEOUT,
        **options: Any,
    ) -> Any:
        url = self.url + path
        deadline = time.monotonic() + ANSWER_S
        try:
            with self._session.request(
                method,
                url,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
                stream=True,
                **options,
            ) as response:
                body = _read(response, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise LabelStudioError(
                f"Label Studio at {self.url} cannot be reached ({type(error).__name__}); "
                "check VIDEOGEM_LABEL_STUDIO_URL."
            ) from None
        if not 200 <= response.status_code < 300:
            reason = _reason(response.status_code, path, self.url)
            raise LabelStudioError(f"{reason} ({method} {path})", response.status_code, path)
        if not body:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise LabelStudioError(
                f"Label Studio at {self.url} did not answer {path} with JSON; is the address right?"
            ) from None

    def call(self, method: str, path: str, **options: Any) -> Any:
        """One API call, signed in; returns the JSON.

        Raises:
            LabelStudioError: not reachable, refused, or an error status.
        """
        return self._send(method, path, headers=self.authorization(), **options)

    def predicted(self, project: int, tasks: Sequence[int], version: str) -> set[int]:
        """Which of these tasks carry a prediction of this version; asked for by the page."""
        if not tasks:
            return set()
        between = {"min": min(tasks), "max": max(tasks)}
        of_id = {
            "filter": "filter:tasks:id", "operator": "in", "type": "Number", "value": between
        }  # fmt: skip
        query = json.dumps({"filters": {"conjunction": "and", "items": [of_id]}})
        pages = self.task_pages(
            project, page_size=LOOK_UP_SIZE, include="id,predictions_model_versions", query=query
        )
        found = {
            task["id"] for page in pages for task in page.tasks if version in page.versions(task)
        }
        return found & set(tasks)

    def add_predictions(self, project: int, predictions: list[dict[str, Any]]) -> None:
        """Save predictions, each with its ``task``, in one request.

        Raises:
            LabelStudioError: nothing was saved.
        """
        self.call(
            "POST", f"/api/projects/{project}/import/predictions", json=predictions, timeout=SAVING
        )

    def remove_predictions(self, task: int, version: str) -> None:
        """Delete the predictions of one version from a task."""
        predictions = self.call("GET", "/api/predictions/", params={"task": task})
        for one in predictions:
            if one.get("model_version") == version:
                self.call("DELETE", f"/api/predictions/{one['id']}/")

    def tasks(self, project: int) -> Iterator[TaskPage]:
        """All tasks of a project, page by page, each with the model versions it has."""
        return self.task_pages(project, include="id,data,predictions_model_versions")

    def task_pages(
        self, project: int, *, page_size: int = PAGE_SIZE, **fields: str
    ) -> Iterator[TaskPage]:
        """All tasks of a project with their annotations and predictions, page by page.

        Raises:
            LabelStudioError: as ``call``, or the answer has a form that is not known.
        """
        page, read = 1, 0
        while True:
            params = {"project": project, "page": page, "page_size": page_size, "fields": "all"}
            found = self.call("GET", "/api/tasks/", params={**params, **fields})
            tasks = found.get("tasks") if isinstance(found, dict) else None
            total = found.get("total") if isinstance(found, dict) else None
            if not isinstance(tasks, list) or not isinstance(total, int):
                raise LabelStudioError(
                    f"Label Studio at {self.url} answered /api/tasks/ in a form that is not known."
                )
            yield TaskPage(tasks, total)
            read, page = read + len(tasks), page + 1
            if not tasks or read >= total:
                return

    def project(self, project: int) -> dict[str, Any]:
        """A project with its labeling config."""
        found: dict[str, Any] = self.call("GET", f"/api/projects/{project}/")
        return found


def _read(response: requests.Response, deadline: float) -> bytes:
    """The body of an answer, if it is neither too large nor too slow."""
    body = bytearray()
    # read1 returns what has come, so that a server that drips cannot hold us up.
    while chunk := response.raw.read1(CHUNK, decode_content=True):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise LabelStudioError(
                f"Label Studio's answer has more than {MAX_ANSWER // MEGABYTE} MB and is not read."
            )
        if time.monotonic() > deadline:
            raise LabelStudioError(f"Label Studio did not finish its answer within {ANSWER_S} s.")
    return bytes(body)


def _reason(status: int, path: str, url: str) -> str:
    """What a status means, in words; what a server says itself is never quoted."""
    if status in (401, 403):
        return (
            f"{status}: Label Studio at {url} refused the token; set "
            "VIDEOGEM_LABEL_STUDIO_API_KEY to a legacy or personal access token of a user who may "
            "see the project."
        )
    if status == 404:
        thing = path.removeprefix("/api/").split("/")[0].rstrip("s").replace("dm", "page")
        return f"404: no such {thing} in Label Studio at {url}"
    if 300 <= status < 400:
        return f"{status}: Label Studio at {url} sends elsewhere; is its address right, with https?"
    if status >= 500:
        return f"{status}: Label Studio at {url} has a problem of its own just now"
    return f"{status}: Label Studio at {url} did not accept the request"


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

    def announce(self, project: Any, hostname: Any, token: str | None) -> ProjectKey | None:
        """Remember what /setup said about a project, as far as it can be believed."""
        number, created = _parse(project)
        if number is None:
            return None
        try:
            name = server_name(str(hostname or ""))
        except ValueError:
            return self.key(project)
        key = ProjectKey(self._server_of(number, created, name), number)
        self._keep_token(key, created, token)
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
        if old is not None and old._token == secret:
            return
        new = LabelStudio(url, secret, announced=configured is None)
        if old is not None and not self._has(new, key.id, created):
            logger.warning("project %d: the token of this /setup is not taken", key.id)
            return
        with self._lock:
            self._announced[key] = new

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


def _is_personal(token: str) -> bool:
    """Personal access tokens are JWTs, legacy ones 40 hex digits."""
    return token.count(".") == 2


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}
