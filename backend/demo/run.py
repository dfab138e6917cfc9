"""Everything on this machine: Label Studio, the backend, and projects that are pre-labelled.

State lives in one folder, so that a second run finds its projects, corrections and password again:
`label-studio` (database), `backend` (quality store), `files` (frames), `logs`.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from label_studio_sdk.client import LabelStudio
from rich.console import Console

from backend.commands.support.task_building import Kind
from backend.demo.local_label_studio import DEFAULT_VENV, LabelStudioServer
from backend.demo.processes import (
    ProcessError,
    Report,
    ServerProcess,
    end_leftovers,
    free_port,
    local_environment,
    remember,
)
from backend.demo.tasks import DemoProject, demo_project
from backend.label_studio.project_setup import (
    ensure_backend,
    ensure_local_files,
    ensure_project,
    ensure_tab,
    import_missing,
    num_empty_predictions,
    retrieve_predictions,
    signed_in,
    tasks_without_prediction,
    wait_for_predictions,
)
from backend.running_demo import DEFAULT_STATE, RunningDemo, file_of, running_demo_in
from videogem.errors import InputError

LABEL_STUDIO_PORT = 8080  # both only if they are free
BACKEND_PORT = 9090
KINDS: tuple[Kind, ...] = ("frame", "video")
SHOWN_FIELDS = ("frame", "video", "narration")
MODEL_SECONDS = 900.0  # weights that are fetched first take their time


@dataclass(frozen=True)
class Demo:
    """A demo that runs: its addresses, who may log in, and the projects by title."""

    label_studio: str
    backend: str
    user: str
    password: str
    projects: dict[str, int]
    logs: Path
    processes: tuple[ServerProcess, ...]

    def watch(self) -> None:
        """Block while both servers live.

        Raises:
            ProcessError: one of them ended by itself.
        """
        while True:
            for process in self.processes:
                process.check()
            time.sleep(1.0)


@contextlib.contextmanager
def running_demo(
    console: Console,
    *,
    state: Path = DEFAULT_STATE,
    venv: Path = DEFAULT_VENV,
    model: str | None = None,
) -> Iterator[Demo]:
    """Set everything up and keep it running until the `with` block ends.

    Raises:
        InputError: the demo runs already, or Label Studio refuses a step.
        ProcessError: a program failed; the message holds the end of its log.
    """
    state = state.resolve()
    with contextlib.ExitStack() as stack:
        announce = stack.enter_context(_only_one(state))
        end_leftovers(state / "processes.json")
        server = LabelStudioServer(
            state / "label-studio",
            files_root=state / "files",
            venv=venv,
            logs=state / "logs",
            port=LABEL_STUDIO_PORT,
        )
        with _step(console, "Label Studio is installed") as server.report:
            server.install()
            server.prepare()
        with _step(console, "Label Studio and the backend are running") as server.report:
            backend_url = f"http://localhost:{free_port(BACKEND_PORT)}"
            backend = _backend_process(server, backend_url, state, model)
            stack.callback((state / "processes.json").unlink, missing_ok=True)
            stack.callback(server.stop)
            stack.callback(backend.stop)
            processes = [server.launch(), backend]
            backend.start()
            remember(state / "processes.json", processes)
            server.wait()
            backend.wait_until_answering(f"{backend_url}/health", seconds=120, report=server.report)
        with _step(console, "The model is loaded") as report:
            version = _wait_for_model(backend, backend_url, report)
        with _step(console, "The clips are cut into tasks") as report:
            wanted = [demo_project(kind, server.files_root, report) for kind in KINDS]
        with signed_in(server.url, server.credentials.token) as client:
            projects = {
                project.title: _prepare(console, client, project, backend_url, version)
                for project in wanted
            }
        demo = Demo(
            label_studio=server.url,
            backend=backend_url,
            user=server.credentials.user,
            password=server.credentials.password,
            projects=projects,
            logs=state / "logs",
            processes=tuple(processes),
        )
        announce(demo)
        yield demo


def _backend_process(
    server: LabelStudioServer, url: str, state: Path, model: str | None
) -> ServerProcess:
    variables = {
        "VIDEOGEM_DATA_DIR": str(state / "backend"),
        "VIDEOGEM_LABEL_STUDIO_URL": server.url,
        "VIDEOGEM_LABEL_STUDIO_API_KEY": server.credentials.token,
    }
    if model is not None:
        variables["VIDEOGEM_MODEL"] = model
    serve = ["serve", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    return ServerProcess(
        "The backend",
        [sys.executable, "-c", "from backend.cli import main; main()", *serve],
        log=state / "logs" / "backend.log",
        env=local_environment(**variables),
    )


def _wait_for_model(backend: ServerProcess, url: str, report: Report) -> str:
    """Wait for the weights, so that the first predictions do not run into Label Studio's timeout.

    Returns the model version, which predictions carry.

    Raises:
        InputError: they cannot be loaded; the message says why.
    """
    begin = time.monotonic()
    while (health := _get_json(f"{url}/health"))["model_state"] == "loading":
        waited = time.monotonic() - begin
        backend.check()
        if waited > MODEL_SECONDS:
            raise ProcessError(f"The model did not load in time; see {backend.log}.")
        report(f"Loading the model ({waited:.0f} s)")
        time.sleep(0.5)
    if health["model_state"] != "ready":
        raise InputError(f"The model could not be loaded: {health['model_error']}")
    return str(health["model_version"])


def _get_json(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        return json.load(response)


def _prepare(
    console: Console, client: LabelStudio, wanted: DemoProject, backend_url: str, version: str
) -> int:
    """Bring one project to the wanted state; what is there already stays untouched."""
    with _step(console, f"Project '{wanted.title}' is pre-labelled") as report:
        project = ensure_project(client, wanted.title, wanted.label_config)
        ensure_local_files(client, project, wanted.folder)
        import_missing(client, project, wanted.tasks)
        ensure_backend(client, project, backend_url)
        ensure_tab(client, project, shown=SHOWN_FIELDS)
        open_tasks = tasks_without_prediction(client, project, version)
        report(f"Pre-labelling {len(open_tasks)} tasks")
        for done in retrieve_predictions(client, project, open_tasks):
            report(f"Pre-labelling: {done} of {len(open_tasks)} tasks")
        for missing in wait_for_predictions(client, project, version):
            report(f"Pre-labelling: {missing} tasks are still queued")
        # Label Studio reports success whatever came back, so look.
        failed = len(tasks_without_prediction(client, project, version))
        failed += num_empty_predictions(client, project)
    if failed:
        console.print(
            f"[yellow]{failed} tasks of '{wanted.title}' got no label; backend.log says why.[/]"
        )
    return project


@contextlib.contextmanager
def _step(console: Console, done: str) -> Iterator[Report]:
    """Show what is going on, then a line with the time it took."""
    begin = time.monotonic()
    with console.status(f"Next: {done}") as status:
        yield status.update
    console.print(f"[green]\N{CHECK MARK}[/] {done} [dim]{time.monotonic() - begin:.0f} s[/]")


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[Any]:
    """Hold the folder's lock; yields what tells a second run where the first one is.

    Raises:
        InputError: another demo holds it.
    """
    state.mkdir(parents=True, exist_ok=True)
    where = file_of(state)
    with (state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(_already_running(state)) from None
        where.unlink(missing_ok=True)

        def announce(demo: Demo) -> None:
            RunningDemo(os.getpid(), demo.label_studio, demo.backend, demo.projects).write(state)

        try:
            yield announce
        finally:
            where.unlink(missing_ok=True)


def _already_running(state: Path) -> str:
    found = running_demo_in(state)
    if found is None:
        return "The demo is starting in another window; end it there with Ctrl-C, or wait."
    return (
        f"The demo is running already at {found.label_studio} (process {found.pid}); "
        "end it with Ctrl-C in its window before you start another."
    )
