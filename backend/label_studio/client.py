"""Label Studio's REST API: where it is, how to sign in, and the few calls the backend makes."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import SecretStr

from backend.address import Origin
from backend.database.json_text import json_value
from backend.database.keys import ProjectKey, server_name
from backend.guard import LOCAL_NETWORKS, Session, open_session
from backend.label_studio.tokens import end_of, is_personal
from backend.settings import MEGABYTE
from videogem.errors import InputError
from videogem.nesting import is_deep

PAGE_SIZE = 100  # tasks; larger pages make Label Studio slow
LOOK_UP_SIZE = 500  # tasks without their data: 0.2 s
WHOAMI = "/api/current-user/whoami"
TIMEOUT = (5, 60)  # seconds to connect, and between bytes
CHECK_URL = "; check VIDEOGEM_LABEL_STUDIO_URL."  # what to do, for who sees nothing else
ANSWER_S = 120.0  # seconds one answer may take in all
MAX_ANSWER = 64 * MEGABYTE  # a page of 100 tasks with masks has some MB
CHUNK = 1 << 16
SAVING = (5, 110)  # while predictions are saved: then it counts for all tasks anew
EARLY_REFRESH = 30.0  # seconds before its end that an access token counts as spent
UNTOLD = 60.0  # seconds that one lives which does not tell


class LabelStudioError(InputError):
    """Label Studio refused or could not be reached; the message says what to check."""

    def __init__(self, message: str, status: int | None = None, path: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.path = path  # of the API, where a status came

    @property
    def is_an_answer(self) -> bool:
        """Whether Label Studio itself has ended with the request; a proxy gives up before."""
        return self.status is not None and self.status <= 500

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


@dataclass(frozen=True)
class Seen:
    """How a server answered when it was last called."""

    at: float  # of time.monotonic: clocks are put right
    took: float  # seconds
    error: LabelStudioError | None = None  # of the last call, if it failed


class LabelStudio:
    """One Label Studio server and the token for it. Safe to use from several threads.

    Only an address somebody configured is trusted whatever it leads to; one that came with /setup
    must not lead to link-local addresses.
    """

    def __init__(self, url: str, token: SecretStr | None, *, announced: bool = False) -> None:
        self.url = url.rstrip("/")
        self.origin = Origin.of(url)
        self._token = token
        self._access: tuple[str, float] | None = None  # token, when it ends by the server's clock
        self._ahead = 0.0  # seconds that the server's clock is before ours
        self._lock = threading.Lock()
        self.seen: Seen | None = None  # before the first call
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

    def signs_in_with(self, token: SecretStr | None) -> bool:
        """Whether this is the token it has."""
        return self._token == token

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
        if not is_personal(token):
            return {"Authorization": f"Token {token}"}
        with self._lock:
            if self._access is None or self._access[1] - EARLY_REFRESH < time.time() + self._ahead:
                self._access = self._refresh(token)
            return {"Authorization": f"Bearer {self._access[0]}"}

    def _refresh(self, token: str) -> tuple[str, float]:
        """A personal access token buys an access token that lives for some minutes."""
        response = self._send("POST", "/api/token/refresh/", json={"refresh": token}, headers={})
        access = response.get("access") if isinstance(response, dict) else None
        if not isinstance(access, str) or not access.isascii() or not access.isprintable():
            raise self._unknown_form("/api/token/refresh/")
        ends = end_of(access)
        return access, time.time() + self._ahead + UNTOLD if ends is None else ends

    def _send(self, method: str, path: str, **options: Any) -> Any:
        """One request, whose fate is kept in ``seen``."""
        start = time.monotonic()
        try:
            found = self._request(method, path, **options)
        except LabelStudioError as error:
            self.seen = Seen(time.monotonic(), time.monotonic() - start, error)
            raise
        self.seen = Seen(time.monotonic(), time.monotonic() - start)
        return found

    def _request(
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
                self._ahead = _ahead(response.headers.get("Date"), self._ahead)
                body = _read(response, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise LabelStudioError(
                f"Label Studio at {self.url} cannot be reached ({type(error).__name__}){CHECK_URL}"
            ) from None
        if not 200 <= response.status_code < 300:
            reason = _reason(response.status_code, path, self.url)
            raise LabelStudioError(f"{reason} ({method} {path})", response.status_code, path)
        if not body:
            return None
        try:
            found = json_value(body)
            if is_deep(found):
                raise ValueError("lists in lists without end")
            return found
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
        if not tasks or not self.has_predictions(project, version):
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

    def has_predictions(self, project: int, version: str) -> bool:
        """Whether any task of the project has one of this version: one count, no page of tasks."""
        counts = self.call("GET", f"/api/projects/{project}/model-versions/")
        if not isinstance(counts, dict):
            raise LabelStudioError(
                f"Label Studio at {self.url} answered model-versions in a form that is not known."
            )
        return bool(counts.get(version))

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
        for one in self.rows("/api/predictions/", {"task": task}):
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
            LabelStudioError: as ``call``, or the answer has a form that is not known, or pages end
                or repeat before all tasks came: what is left out would count as gone.
        """
        page = 1
        listed: set[int] = set()
        while True:
            params = {"project": project, "page": page, "page_size": page_size, "fields": "all"}
            found = self.call("GET", "/api/tasks/", params={**params, **fields})
            tasks = found.get("tasks") if isinstance(found, dict) else None
            total = found.get("total") if isinstance(found, dict) else None
            if not _are_rows(tasks) or not isinstance(total, int):
                raise self._unknown_form("/api/tasks/")
            yield TaskPage(tasks, total)
            before, page = len(listed), page + 1
            listed |= {task["id"] for task in tasks}
            if len(listed) >= total:
                return
            if len(listed) == before:
                raise LabelStudioError(
                    f"Label Studio at {self.url} says that project {project} has {total} tasks, "
                    f"and listed {len(listed)} of them."
                )

    def tasks_of(self, project: int, tasks: Sequence[int]) -> Iterator[TaskPage]:
        """These tasks with their annotations and predictions, page by page; at most some hundreds.

        Raises:
            LabelStudioError: as ``task_pages``.
        """
        of_id = {
            "filter": "filter:tasks:id", "operator": "in_list", "type": "Number",
            "value": sorted(tasks),
        }  # fmt: skip
        query = json.dumps({"filters": {"conjunction": "and", "items": [of_id]}})
        # `include` would choose the fields of the annotations, too: only their ids were left.
        return self.task_pages(project, query=query)

    def project(self, project: int) -> dict[str, Any]:
        """A project with its labeling config.

        Raises:
            LabelStudioError: as ``one``; with 404 only if it is Label Studio that answers so.
        """
        try:
            return self.one(f"/api/projects/{project}/")
        except LabelStudioError as error:
            if error.status == 404:
                self._check_is_label_studio()
            raise

    def _check_is_label_studio(self) -> None:
        """Whoever answers 404 to all, such as a proxy with another application behind it, does not
        say that a project is gone.
        """
        try:
            self.one(WHOAMI)
        except LabelStudioError as error:
            if error.status != 404:
                raise
            raise LabelStudioError(
                f"404: what answers at {self.url} is no Label Studio{CHECK_URL}", 404, WHOAMI
            ) from None

    def rows(
        self, path: str, params: dict[str, Any], within: str | None = None
    ) -> list[dict[str, Any]]:
        """A list of objects with ids; ``within`` is the field of a page that it stands in.

        Raises:
            LabelStudioError: as ``call``, or the answer has a form that is not known.
        """
        found = self.call("GET", path, params=params)
        if within is not None:
            found = found.get(within) if isinstance(found, dict) else None
        if not _are_rows(found):
            raise self._unknown_form(path)
        return found

    def one(self, path: str) -> dict[str, Any]:
        """An object of the API.

        Raises:
            LabelStudioError: as ``call``, or the answer has a form that is not known.
        """
        found = self.call("GET", path)
        if not isinstance(found, dict):
            raise self._unknown_form(path)
        return found

    def _unknown_form(self, path: str) -> LabelStudioError:
        return LabelStudioError(
            f"Label Studio at {self.url} answered {path} in a form that is not known."
        )


def _are_rows(found: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(found, list) and all(
        isinstance(row, dict) and type(row.get("id")) is int for row in found
    )


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


def _ahead(date: str | None, known: float) -> float:
    """Seconds that whoever wrote an answer's date is before our clock; as known where it cannot be
    told.
    """
    try:
        return parsedate_to_datetime(str(date)).timestamp() - time.time()
    except (ValueError, OverflowError, TypeError):
        return known
