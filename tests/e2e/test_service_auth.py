"""Passwords and tokens, against a real Label Studio."""

import base64
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from backend.demo.local_label_studio import LabelStudioServer
from tests.e2e.servers import Backend
from tests.e2e.service_helpers import (
    SlowGrounder,
    call,
    config,
    counts,
    frame_tasks,
    predictions,
    refused,
    retrieve,
    task_ids,
    wait_for,
)

USER, PASSWORD = "label-studio", "pässword"


def connect(server: LabelStudioServer, project: int, backend: Backend, **options: Any) -> Any:
    """Connect the backend as the dialog does."""
    body = {"project": project, "url": backend.url, "title": "VideoGEM", **options}
    return call(f"{server.url}/api/ml", server.credentials.token, "POST", body)


def authorized(url: str) -> Any:
    header = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": header})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_password_for_everything_and_the_webhook_gets_it_too(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    token = label_studio.credentials.token
    backend = start_backend(
        SlowGrounder(0),
        basic_auth_user=USER,
        basic_auth_password=PASSWORD,
        label_studio_url=label_studio.url,
        label_studio_api_key=token,
    )
    project = make_project(config("frame"), frame_tasks(frames, frame_url, 1))
    with refused(400):
        connect(label_studio, project, backend)
    basic = {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": PASSWORD}
    connect(label_studio, project, backend, **basic)

    def webhook_has_password() -> bool:
        hooks = call(f"{label_studio.url}/api/webhooks/?project={project}", token)
        return any("Authorization" in hook["headers"] for hook in hooks)

    wait_for(webhook_has_password, seconds=15, what="the webhook sends the password")
    retrieve(label_studio, project)
    [task] = task_ids(label_studio, project)
    [prediction] = predictions(label_studio, project)
    call(
        f"{label_studio.url}/api/tasks/{task}/annotations/",
        token,
        "POST",
        # With the time it took, as the editor sends it; without, it would be one made in bulk.
        {
            "result": prediction["result"],
            "parent_prediction": prediction["id"],
            "lead_time": 4.2,
        },
    )

    def counted() -> bool:
        return bool(authorized(f"{backend.url}/qa/summary.json?project={project}")["n"] == 1)

    wait_for(counted, seconds=15, what="the annotation arrived by webhook")
    with refused(401):
        urllib.request.urlopen(f"{backend.url}/qa/summary.json?project={project}", timeout=10)
    with urllib.request.urlopen(f"{backend.url}/health", timeout=10) as health:
        assert health.status == 200


def test_the_connect_dialog_says_what_to_set(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    page: Page,
    artifacts: Path,
) -> None:
    backend = start_backend(
        SlowGrounder(0),
        basic_auth_user=USER,
        basic_auth_password=PASSWORD,
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.credentials.token,
    )
    project = make_project(config("frame"))
    reason = page.locator("li[class*=error-message]").first

    def save(password: str | None) -> None:
        page.goto(f"{label_studio.url}/projects/{project}/settings/ml")
        page.locator("button:has-text('Connect Model')").click()
        page.fill("input[name=title]", "VideoGEM")
        page.fill("input[name=url]", backend.url)
        if password is not None:
            page.get_by_text("No Authentication").last.click()
            page.get_by_role("option", name="Basic Authentication").click()
            page.fill("input[name=basic_auth_user]", USER)
            page.fill("input[name=basic_auth_pass]", password)
        page.locator("button:has-text('Validate and Save')").click()

    save(None)
    expect(reason).to_contain_text("choose 'Basic Authentication' in Label Studio's connect dialog")
    expect(reason).to_contain_text("VIDEOGEM_BASIC_AUTH_USER and VIDEOGEM_BASIC_AUTH_PASSWORD")
    page.screenshot(path=artifacts / "connect_dialog.png")
    save("wrong")
    expect(reason).to_contain_text("Wrong user or password")
    save(PASSWORD)
    expect(page.get_by_text("Connected", exact=True).first).to_be_visible()


def test_a_personal_access_token(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    legacy = label_studio.credentials.token
    both = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
    call(f"{label_studio.url}/api/jwt/settings", legacy, "POST", both)
    personal = call(f"{label_studio.url}/api/token/", legacy, "POST", {})["token"]
    backend = start_backend(
        SlowGrounder(0.2),
        predict_budget=0.1,
        label_studio_url=label_studio.url,
        label_studio_api_key=personal,
    )
    project = make_project(config("frame"), frame_tasks(frames, frame_url, 12), backend)
    retrieve(label_studio, project)  # media are read, and most predictions delivered, with it
    wait_for(
        lambda: len(predictions(label_studio, project)) == 12, seconds=60, what="12 predictions"
    )
    assert set(counts(predictions(label_studio, project)).values()) == {1}
