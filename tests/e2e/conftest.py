"""Fixtures for end-to-end tests: a real Label Studio, a real browser, a real backend.

Every test under `tests/e2e` is marked `e2e` by itself. Fixtures:

`label_studio`        session; `LabelStudioServer`, started. `.url`, `.credentials`, `.files_root`.
`client`              session; SDK client (`label_studio_sdk.client.LabelStudio`) signed in to it.
`backend_server`      session; `Backend` with the shipped demo model, run by `videogem serve`.
`start_backend`       function; `start_backend(grounder=None, **settings) -> Backend`. With a
                      grounder it runs in this process (so a fake can be asked what it saw), without
                      one it is `videogem serve` with the shipped model; `settings` are those of
                      `backend.settings.Settings` (`start_backend(basic_auth_user="u", ...)`).
`make_project`        function; `make_project(label_config, tasks, backend=None) -> int` makes a new
                      project with the local files of `frames` allowed, imports the tasks and
                      connects the backend. Projects are deleted when the test ends.
`frames`              session; folder below Label Studio's document root for images and videos;
                      `frame_url(path)` gives what a task must say.
`browser`             session; Playwright's Chromium.
`page`                function; a browser page signed in to Label Studio; a screenshot is kept in
                      `test-artifacts/` when the test fails.
`artifacts`           session; the folder `test-artifacts`, for screenshots people should look at.

Predictions: `backend.label_studio.project_setup.retrieve_predictions`. Logs are in
`test-artifacts/logs`.

    def test_points(client, make_project, backend_server, page, label_studio): ...

Without Chromium these tests fail and say how to get it; they never skip.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.client import LabelStudio
from playwright.sync_api import Browser, Page, expect, sync_playwright

from backend.commands.support.task_building import LOCAL_FILES
from backend.demo.local_label_studio import LabelStudioServer
from backend.label_studio.project_setup import (
    Task,
    ensure_backend,
    ensure_local_files,
    signed_in,
)
from tests.e2e.servers import Backend, serve, serve_here
from videogem.grounder import Grounder

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
NO_CHROMIUM = (
    "The end-to-end tests need Chromium or Chrome: 'apt-get install chromium' (Debian), "
    "'brew install --cask chromium' (macOS), or set CHROME_PATH to the program."
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real servers; a hanging server must not hang the suite."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(900))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures know whether the test failed (`item.stash[FAILED]`)."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()
expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong


@pytest.fixture(scope="session")
def artifacts() -> Path:
    folder = ROOT / "test-artifacts"
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    for old in folder.glob("failed-*.png"):
        old.unlink()
    return folder


@pytest.fixture(scope="session")
def label_studio(
    tmp_path_factory: pytest.TempPathFactory, artifacts: Path
) -> Iterator[LabelStudioServer]:
    folder = tmp_path_factory.mktemp("label-studio")
    with LabelStudioServer(
        folder / "data",
        files_root=folder / "files",
        venv=ROOT / ".venv-label-studio",
        logs=artifacts / "logs",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def client(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    with signed_in(label_studio.url, label_studio.credentials.token) as client:
        yield client


@pytest.fixture(scope="session")
def frames(label_studio: LabelStudioServer) -> Path:
    folder = label_studio.files_root / "frames"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def frame_url(label_studio: LabelStudioServer) -> Callable[[Path], str]:
    root = label_studio.files_root
    return lambda path: LOCAL_FILES + path.relative_to(root).as_posix()


@pytest.fixture
def make_project(client: LabelStudio, frames: Path) -> Iterator[Callable[..., int]]:
    made: list[int] = []

    def make(label_config: str, tasks: Sequence[Task] = (), backend: Backend | None = None) -> int:
        title = f"test {uuid.uuid4().hex[:8]}"
        project = int(client.projects.create(title=title, label_config=label_config).id or 0)
        made.append(project)
        ensure_local_files(client, project, frames)
        if backend is not None:
            ensure_backend(client, project, backend.url)
        if tasks:
            client.projects.import_tasks(project, request=[dict(task) for task in tasks])
        return project

    yield make
    for project in made:
        client.projects.delete(project)


@pytest.fixture
def start_backend(tmp_path: Path, artifacts: Path) -> Iterator[Callable[..., Backend]]:
    running: list[Backend] = []

    def start(grounder: Grounder | None = None, **settings: Any) -> Backend:
        settings.setdefault("data_dir", tmp_path / f"backend-{len(running)}")
        backend = (
            serve(settings, artifacts / "logs" / "backend.log")
            if grounder is None
            else serve_here(grounder, settings)
        )
        running.append(backend)
        return backend

    yield start
    for backend in reversed(running):
        backend.stop()


@pytest.fixture(scope="session")
def backend_server(tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> Iterator[Backend]:
    settings = {"data_dir": tmp_path_factory.mktemp("backend")}
    backend = serve(settings, artifacts / "logs" / "backend-demo-model.log")
    yield backend
    backend.stop()


def find_chromium() -> str | None:
    """The installed Chromium or Chrome, CHROME_PATH first."""
    candidates = (os.environ.get("CHROME_PATH"), *CHROMIUM_NAMES, str(MAC_CHROME))
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.fail(NO_CHROMIUM, pytrace=False)
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses root, and containers often forbid it; only our pages are shown.
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(
    browser: Browser,
    label_studio: LabelStudioServer,
    artifacts: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    sign_in(page, label_studio)
    yield page
    if request.node.stash.get(FAILED, False):
        page.screenshot(path=artifacts / f"failed-{request.node.name}.png")
    context.close()


def sign_in(page: Page, label_studio: LabelStudioServer) -> None:
    """Log in through the form, as people do."""
    page.goto(f"{label_studio.url}/user/login/")
    page.fill("input[name=email]", label_studio.credentials.user)
    page.fill("input[name=password]", label_studio.credentials.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)
