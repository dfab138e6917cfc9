"""The tools of the end-to-end tests themselves: server, client and browser meet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import requests
from label_studio_sdk.client import LabelStudio
from PIL import Image
from playwright.sync_api import Page

from backend.demo.local_label_studio import LabelStudioServer
from backend.demo.processes import free_port
from backend.label_studio.project_setup import (
    ensure_backend,
    ensure_local_files,
    ensure_project,
    import_missing,
    tasks_without_prediction,
)
from videogem.errors import InputError

CONFIG = """
<View>
  <Image name="frame" value="$frame"/>
  <Text name="said" value="$narration"/>
  <KeyPointLabels name="point" toName="frame"><Label value="action"/></KeyPointLabels>
</View>
"""


def test_a_task_is_shown_with_its_frame(
    make_project: Callable[..., int],
    client: LabelStudio,
    frames: Path,
    frame_url: Callable[[Path], str],
    page: Page,
    label_studio: LabelStudioServer,
) -> None:
    path = frames / "red.png"
    Image.fromarray(np.full((90, 160, 3), (255, 0, 0), dtype=np.uint8)).save(path)
    project = make_project(CONFIG, [{"frame": frame_url(path), "narration": "paint it red"}])
    page.goto(f"{label_studio.url}/projects/{project}/data")
    page.get_by_text("paint it red").first.click()
    page.wait_for_function(
        "[...document.images].some(i => i.src.includes('red.png') && i.naturalWidth === 160)"
    )


def test_setting_up_twice_changes_nothing(client: LabelStudio, frames: Path) -> None:
    project = ensure_project(client, "set up twice", CONFIG)
    try:
        assert ensure_project(client, "set up twice", CONFIG) == project
        url = "http://example.com/frame.png"
        tasks = [{"frame": url, "narration": "cut", "id": f"task {i}"} for i in range(3)]
        assert import_missing(client, project, tasks[:2]) == 2
        assert import_missing(client, project, tasks) == 1
        assert len(tasks_without_prediction(client, project)) == 3
        ensure_local_files(client, project, frames)
        ensure_local_files(client, project, frames)
        assert len(client.import_storage.local.list(project=project)) == 1
    finally:
        client.projects.delete(project)


def test_a_dead_backend_is_refused_in_words(
    make_project: Callable[..., int], client: LabelStudio
) -> None:
    project = make_project(CONFIG)
    with pytest.raises(InputError, match="Label Studio refused the backend"):
        ensure_backend(client, project, f"http://localhost:{free_port()}")


def test_nobody_makes_an_account_without_an_invitation(label_studio: LabelStudioServer) -> None:
    session = requests.Session()
    address = f"{label_studio.url}/user/signup/"
    form = session.get(address, timeout=30)
    fields = {
        "email": "stranger@example.com",
        "password": "a-long-password-1",
        "allow_newsletters": "false",
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
    }
    answer = session.post(address, data=fields, headers={"Referer": form.url}, timeout=30)
    assert answer.status_code == 403
    assert not session.get(f"{label_studio.url}/api/current-user/whoami", timeout=30).ok
