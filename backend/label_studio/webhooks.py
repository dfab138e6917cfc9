"""Keeps the password in the webhook: Label Studio sends its own, without the backend's password.

Connecting a backend with basic authentication makes a webhook that is refused with 401, and every
correction is lost. So after each /setup the project's webhook gets the header it lacks.
"""

import logging
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from backend.label_studio.client import LabelStudio, LabelStudioError

logger = logging.getLogger(__name__)

DELAY = 1.0  # seconds: Label Studio makes the webhook between its two calls of /setup


class WebhookKeeper:
    """Repairs webhooks in the background, at most once a second and project."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization
        self._looked: dict[int, float] = {}
        self._lock = threading.Lock()

    def after_setup(self, project: int, host: str, label_studio: LabelStudio | None) -> None:
        """Look at the webhooks of a project that has just called /setup as ``host``."""
        if self._authorization is None or label_studio is None or not label_studio.has_token:
            return
        now = time.monotonic()
        with self._lock:
            if now - self._looked.get(project, -DELAY) < DELAY:
                return
            self._looked[project] = now
        arguments = (label_studio, project, host, self._authorization)
        timer = threading.Timer(DELAY, _repair_quietly, arguments)
        timer.daemon = True
        timer.start()


def _repair_quietly(label_studio: LabelStudio, project: int, host: str, authorization: str) -> None:
    try:
        repaired = repair(label_studio, project, host, authorization)
    except LabelStudioError as error:
        logger.warning("project %s: its webhook could not be checked: %s", project, error)
        return
    if repaired:
        logger.info("project %s: its webhook now sends the backend's password", project)


def own_webhooks(label_studio: LabelStudio, project: int, host: str) -> list[dict[str, Any]]:
    """The webhooks of a project (and of its organization) that lead to ``host``."""
    found = label_studio.call("GET", "/api/webhooks/", params={"project": project})
    return [hook for hook in found if _leads_to(str(hook.get("url", "")), host)]


def repair(label_studio: LabelStudio, project: int, host: str, authorization: str) -> int:
    """Give the webhooks that lead to ``host`` the header; returns how many lacked it."""
    repaired = 0
    for hook in own_webhooks(label_studio, project, host):
        headers = dict(hook.get("headers") or {})
        if headers.get("Authorization") == authorization:
            continue
        body = {
            # All of it together: a PATCH without actions clears them.
            "url": hook["url"],
            "headers": {**headers, "Authorization": authorization},
            "send_payload": True,
            "send_for_all_actions": hook.get("send_for_all_actions", True),
            "actions": hook.get("actions") or [],
            "is_active": hook.get("is_active", True),
        }
        label_studio.call("PATCH", f"/api/webhooks/{hook['id']}/", json=body)
        repaired += 1
    return repaired


def _leads_to(url: str, host: str) -> bool:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] == host and parts.path.endswith("/webhook")
