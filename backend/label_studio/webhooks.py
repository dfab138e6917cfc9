"""Keeps each project's webhook right: without it corrections never arrive, and nobody is told.

Label Studio makes the webhook when a backend is connected, and may fail to without saying so; it
never sends the backend's password with it; anybody may switch it off. So it is looked at when a
project calls /setup and at every sync, and put right through the API: made, switched on, told to
send its payload, given the password. Where it must lead is the address that Label Studio itself
lists for the model; /setup only says which of the listed models this backend is.
"""

import logging
import threading
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from backend.address import AddressError, read_address, without_password
from backend.database.keys import ProjectKey
from backend.database.texts import storable
from backend.database.webhook_states import State, Webhook, WebhookStates
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.threads import started

logger = logging.getLogger(__name__)

DELAY = 1.0  # seconds: Label Studio makes the webhook between its two calls of /setup
LOOK_AGAIN = 600.0  # seconds until /setup asks for Label Studio's list of models again
MOST = 1000  # projects whose webhooks are to be looked at, and that are remembered to have been
WORKERS = 4  # threads that look: a slow Label Studio holds up its own projects
TOLD = 86400.0  # seconds that people are told what was put right
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
NEEDED = frozenset(
    ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED")
)


class WebhookKeeper:
    """Looks at webhooks and puts them right. Safe to share between threads."""

    def __init__(self, authorization: str | None, states: WebhookStates | None = None) -> None:
        self._authorization = authorization
        self.states = states or WebhookStates()
        self._last: dict[ProjectKey, float] = {}  # last time /setup had the webhook looked at
        self._listed: dict[ProjectKey, float] = {}  # last time the list of models was asked for
        self._due: dict[ProjectKey, tuple[float, LabelStudio]] = {}  # to be looked at, and when
        self._workers = 0
        self._lock = threading.Lock()

    def after_setup(self, key: ProjectKey, host: str, label_studio: LabelStudio | None) -> None:
        """Look at the webhook of a project that has just called /setup as ``host``, soon.

        Where very many wait the next comparison with Label Studio looks.
        """
        self.states.heard(key, host)
        if label_studio is None or not label_studio.has_token:
            return
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(key, -DELAY) < DELAY or len(self._due) >= MOST:
                return
            _remember(self._last, key, now)
            self._due.setdefault(key, (now + DELAY, label_studio))
            if self._workers >= WORKERS:
                return
            self._workers += 1
        thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
        if not started(thread, "webhooks are looked at later"):
            with self._lock:
                self._workers -= 1

    def _work(self) -> None:
        """Look at all that are due, one after the other."""
        while True:
            with self._lock:
                if not self._due:
                    self._workers -= 1
                    return
                key = next(iter(self._due))
                at, label_studio = self._due.pop(key)
            time.sleep(max(0.0, at - time.monotonic()))
            try:
                self._look_quietly(key, label_studio)
            except Exception:  # the top of a thread: the next one is looked at in any case
                logger.exception("project %d: its webhook could not be checked", key.id)

    def _look_quietly(self, key: ProjectKey, label_studio: LabelStudio) -> None:
        try:
            # Label Studio calls /setup for being asked for its list, and that leads here again.
            with self._lock:
                listed = time.monotonic() - self._listed.get(key, -LOOK_AGAIN) < LOOK_AGAIN
            if not (listed and self._has_none(key, label_studio)):
                self.look(key, label_studio)
        except LabelStudioError as error:
            logger.warning("project %d: its webhook could not be checked: %s", key.id, error)

    def _has_none(self, key: ProjectKey, label_studio: LabelStudio) -> bool:
        return not own_webhooks(label_studio, key.id, self.states.get(key).host)

    def look(self, key: ProjectKey, label_studio: LabelStudio) -> Webhook:
        """Look at the webhook of a project, and put it right where it is not.

        Raises:
            LabelStudioError: Label Studio cannot be asked; that is noted, too.
        """
        try:
            state, words = self._look(key, label_studio)
        except LabelStudioError as error:
            if error.status == 404 and error.path != "/api/webhooks/":
                self.states.forget(key)
            else:
                self.states.note(key, "failed", f"its webhook could not be checked: {error}")
            raise
        words = storable(words)  # they quote addresses that Label Studio told
        self.states.refresh()  # another backend may have put it right a moment ago
        before = self.states.get(key)
        if state == "ok" and before.state == "mended" and abs(time.time() - before.at) < TOLD:
            return before  # so that people see it
        if state != before.state and state != "ok":
            logger.warning("project %d of %s: %s", key.id, key.server or "Label Studio", words)
        self.states.note(key, state, words)
        return self.states.get(key)

    def _look(self, key: ProjectKey, label_studio: LabelStudio) -> tuple[State, str]:
        host = self.states.get(key).host
        own = own_webhooks(label_studio, key.id, host) if host else []
        wrong = [(hook, what) for hook in own if (what := problems(hook, self._authorization))]
        if own and len(wrong) < len(own):
            for hook, _ in wrong:
                if hook.get("is_active"):  # else every event comes a second time, and is refused
                    _mend(label_studio, hook, self._authorization)
            good = next(hook for hook in own if not problems(hook, self._authorization))
            return "ok", f"corrections are reported to {without_password(good['url'])}"
        if wrong:
            hook, what = wrong[0]
            _mend(label_studio, hook, self._authorization)
            return "mended", f"the webhook was put right: {'; '.join(what)}"
        with self._lock:
            _remember(self._listed, key, time.monotonic())
        return self._make(key, label_studio)

    def _make(self, key: ProjectKey, label_studio: LabelStudio) -> tuple[State, str]:
        """Make the webhook that is missing, if this backend is one of the project's models."""
        models = label_studio.rows("/api/ml/", {"project": key.id})
        host = self.states.get(key).host  # Label Studio may have called /setup for this question
        urls = [without_password(str(model.get("url"))) for model in models]
        ours = next((url for url in urls if _is_at(url, host)), None)
        if ours is None:
            connected = f", only at {', '.join(urls)}" if urls else ""
            return "failed", (
                f"corrections may not arrive: no webhook leads here, and Label Studio has no model "
                f"connected at {host or 'an address that this backend was called by'}{connected}; "
                "connect this backend in the project's settings (Model), or add the webhook there"
            )
        url = f"{ours.rstrip('/')}/webhook"
        hook = {"url": url, "headers": {}, "actions": [], "project": key.id}
        try:
            _mend(label_studio, hook, self._authorization)
        except LabelStudioError as error:
            if error.status not in (400, 403):
                raise
            advice = why_no_webhook(ours)
            return "failed", f"corrections do not arrive: there is no webhook. {advice}"
        words = f"the webhook was put right: there was none to {ours}"
        if elsewhere := _others(label_studio, key.id, host):
            words += f"; another leads to {', '.join(elsewhere)} and was left alone"
        return "mended", words


def _remember(times: dict[ProjectKey, float], key: ProjectKey, now: float) -> None:
    times.pop(key, None)
    times[key] = now
    while len(times) > MOST:
        del times[next(iter(times))]


def own_webhooks(label_studio: LabelStudio, project: int, host: str) -> list[dict[str, Any]]:
    """The webhooks of a project (and of its organization) that lead to ``host``."""
    return [hook for hook in _webhooks(label_studio, project) if _leads_to(hook, host)]


def problems(hook: dict[str, Any], authorization: str | None) -> list[str]:
    """What keeps a webhook from bringing corrections, in words."""
    found = []
    if not hook.get("is_active", True):
        found.append("it was switched off")
    if not hook.get("send_payload", True):
        found.append("it sent no payload")
    if not hook.get("send_for_all_actions", True) and not NEEDED.issubset(
        map(str, hook["actions"])
    ):
        found.append("it did not report all corrections")
    if authorization and hook["headers"].get("Authorization") != authorization:
        found.append("it did not send the backend's password")
    return found


def why_no_webhook(url: str) -> str:
    """Why Label Studio makes no webhook for a backend at this address, and what to do."""
    url = without_password(url)
    host = split(url).hostname or ""
    add = f"Then add a webhook for {url.rstrip('/')}/webhook in the project's settings."
    if "." not in host and host not in LOCAL_NAMES:
        return (
            f"Label Studio makes no webhooks for names without a dot like {host!r}: connect the "
            f"backend by a name with one (a network alias such as {host}.internal). {add}"
        )
    return (
        "Label Studio refused to make it: set SSRF_PROTECTION_ENABLED=false there (beside "
        f"ML_BLOCK_LOCAL_IP=false), for the backend is on a private address. {add}"
    )


def place_of(url: str) -> str:
    """Host and port of an address that Label Studio tells; empty for what is no address."""
    try:
        return read_address(without_password(url)).place
    except AddressError:
        return ""


def split(url: str) -> SplitResult:
    """The parts of an address that Label Studio tells; what is no address has none."""
    try:
        return urlsplit(url)
    except ValueError:  # brackets of an IPv6 address that is none
        return urlsplit("")


def _webhooks(label_studio: LabelStudio, project: int) -> list[dict[str, Any]]:
    """As Label Studio lists them; headers and actions in another form than its own are none."""
    forms = {"headers": dict, "actions": list}
    return [
        hook
        | {name: form() for name, form in forms.items() if not isinstance(hook.get(name), form)}
        for hook in label_studio.rows("/api/webhooks/", {"project": project})
    ]


def _others(label_studio: LabelStudio, project: int, host: str) -> list[str]:
    """Where webhooks lead that look like a backend's but are not of this one."""
    hooks = _webhooks(label_studio, project)
    return [
        without_password(str(hook.get("url")))
        for hook in hooks
        if str(hook.get("url", "")).endswith("/webhook") and not _leads_to(hook, host)
    ]


def _mend(label_studio: LabelStudio, hook: dict[str, Any], authorization: str | None) -> None:
    """Make a webhook, or bring one that is there into the form that reports corrections."""
    headers = hook["headers"]
    all_actions = hook.get("send_for_all_actions", True)
    if not NEEDED.issubset(map(str, hook["actions"])):
        all_actions = True
    body = {
        # All of it together: a PATCH without actions clears them.
        "url": hook["url"],
        "headers": {**headers, "Authorization": authorization} if authorization else headers,
        "send_payload": True,
        "send_for_all_actions": all_actions,
        "actions": hook["actions"],
        "is_active": True,
    }
    if "id" in hook:
        label_studio.call("PATCH", f"/api/webhooks/{hook['id']}/", json=body)
    else:
        label_studio.call("POST", "/api/webhooks/", json={**body, "project": hook["project"]})


def _leads_to(hook: dict[str, Any], host: str) -> bool:
    url = str(hook.get("url", ""))
    return _is_at(url, host) and split(url).path.endswith("/webhook")


def _is_at(url: str, host: str) -> bool:
    """Whether requests to an address name this host (with its port), however it is written."""
    return bool(host) and place_of(url) in (host, place_of(f"http://{host}"))
