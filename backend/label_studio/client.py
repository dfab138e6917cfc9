"""Label Studio's REST API: where it is, how to sign in, and the few calls the backend makes."""

import base64
import binascii
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr

from backend.guard import LOCAL_NETWORKS, open_session
from backend.settings import Settings
from videogem.errors import InputError

logger = logging.getLogger(__name__)

PAGE_SIZE = 100  # tasks; larger pages make Label Studio slow
TIMEOUT = (5, 60)  # seconds to connect, and between bytes
EARLY_REFRESH = 30.0  # seconds before its end that an access token counts as spent


class LabelStudioError(InputError):
    """Label Studio refused or could not be reached; the message says what to check."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_about_the_request(self) -> bool:
        """Whether trying again later would not help: something was sent that is not accepted."""
        return self.status in (400, 404, 409, 413, 422)


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what a token is bound to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise InputError(f"The address {url!r} has no valid port.") from None
        scheme = parts.scheme.lower()
        return cls(scheme, (parts.hostname or "").lower(), port or {"https": 443}.get(scheme, 80))


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

    def open_session(self) -> requests.Session:
        """A session for requests to this server."""
        return open_session(self._networks)

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

    def _send(self, method: str, path: str, *, headers: dict[str, str], **options: Any) -> Any:
        url = self.url + path
        try:
            response = self._session.request(
                method, url, headers=headers, timeout=TIMEOUT, allow_redirects=False, **options
            )
        except requests.RequestException as error:
            raise LabelStudioError(
                f"Label Studio at {self.url} cannot be reached ({type(error).__name__}); "
                "check VIDEOGEM_LABEL_STUDIO_URL."
            ) from None
        if response.status_code in (401, 403):
            raise LabelStudioError(
                f"Label Studio at {self.url} refused the token ({response.status_code}, {path}); "
                "set VIDEOGEM_LABEL_STUDIO_API_KEY to a legacy or personal access token of a user "
                "who may see the project.",
                response.status_code,
            )
        if not 200 <= response.status_code < 300:
            raise LabelStudioError(
                f"Label Studio answered {response.status_code} to {method} {path}: "
                f"{response.text[:300]!r}.",
                response.status_code,
            )
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"Label Studio at {self.url} did not answer {path} with JSON; is the address right?"
            ) from None

    def call(self, method: str, path: str, **options: Any) -> Any:
        """One API call, signed in; returns the JSON.

        Raises:
            LabelStudioError: not reachable, refused, or an error status.
        """
        return self._send(method, path, headers=self.authorization(), **options)

    def has_prediction(self, task: int, version: str) -> bool:
        """Whether a task carries a prediction of this version already."""
        predictions = self.call("GET", "/api/predictions/", params={"task": task})
        return any(one.get("model_version") == version for one in predictions)

    def add_predictions(self, project: int, predictions: list[dict[str, Any]]) -> None:
        """Save predictions, each with its ``task``, in one request.

        Raises:
            LabelStudioError: nothing was saved.
        """
        self.call("POST", f"/api/projects/{project}/import/predictions", json=predictions)

    def remove_predictions(self, task: int, version: str) -> None:
        """Delete the predictions of one version from a task."""
        predictions = self.call("GET", "/api/predictions/", params={"task": task})
        for one in predictions:
            if one.get("model_version") == version:
                self.call("DELETE", f"/api/predictions/{one['id']}/")

    def tasks(self, project: int) -> Iterator[TaskPage]:
        """All tasks of a project, page by page, each with the model versions it has."""
        page = 1
        while True:
            found = self.call(
                "GET",
                "/api/tasks/",
                params={
                    "project": project,
                    "page": page,
                    "page_size": PAGE_SIZE,
                    "fields": "all",
                    "include": "id,data,predictions_model_versions",
                },
            )
            yield TaskPage(found["tasks"], int(found["total"]))
            if page * PAGE_SIZE >= int(found["total"]):
                return
            page += 1

    def project(self, project: int) -> dict[str, Any]:
        """A project with its labeling config."""
        found: dict[str, Any] = self.call("GET", f"/api/projects/{project}/")
        return found


class Connections:
    """Which Label Studio a project belongs to.

    The configured address wins. Without one, the address and token that Label Studio announces in
    /setup are used for that project only: they never mix with the configured token.
    """

    def __init__(self, settings: Settings) -> None:
        self._configured = (
            LabelStudio(settings.label_studio_url, settings.label_studio_api_key)
            if settings.label_studio_url
            else None
        )
        self._announced: dict[int, LabelStudio] = {}
        self._lock = threading.Lock()

    def announce(self, project: int, hostname: str | None, token: str | None) -> None:
        """Remember what /setup said about a project."""
        if not hostname or urlsplit(hostname).scheme not in ("http", "https"):
            return
        if self._configured is not None:
            if self._configured.has_token or not token:
                return
            hostname = self._configured.url  # an address without a key: use the announced token
        secret = SecretStr(token) if token else None
        with self._lock:
            known = self._announced.get(project)
            if known is None or known.url != hostname.rstrip("/") or known._token != secret:
                configured = self._configured is not None
                self._announced[project] = LabelStudio(hostname, secret, announced=not configured)

    def get(self, project: int | None) -> LabelStudio | None:
        """The server of a project, or None where nobody has told yet."""
        if self._configured is not None and self._configured.has_token:
            return self._configured
        with self._lock:
            announced = self._announced.get(project) if project is not None else None
        return announced or self._configured


def project_id(text: Any) -> int | None:
    """Label Studio writes a project as ``20`` or, with its creation, as ``"20.1795393766"``."""
    try:
        return int(str(text).split(".")[0])
    except ValueError:
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
