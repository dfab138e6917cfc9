"""Prepare Label Studio projects for the backend; every step may be repeated without harm."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from videogem.errors import InputError

BACKEND_TITLE = "VideoGEM"
PREDICTION_SECONDS = 150  # Label Studio itself gives up on the backend after 100

TAB = "Least sure first"
# Label Studio's own columns that say nothing of what to do next.
HIDDEN_COLUMNS = (
    "inner_id", "completed_at", "cancelled_annotations", "annotators", "annotations_results",
    "annotations_ids", "predictions_results", "predictions_model_versions", "file_upload",
    "storage_filename", "created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists",
)  # fmt: skip

Task = Mapping[str, Any]  # the fields a labeling config refers to


@contextmanager
def signed_in(url: str, token: str) -> Iterator[LabelStudio]:
    """A client of one Label Studio, by legacy token or personal access token."""
    # An own HTTP client, because the SDK never closes its connections, and proxies or a ~/.netrc
    # entry would get in the way of a server on this machine.
    with httpx.Client(timeout=60, follow_redirects=True, trust_env=False) as http:
        yield cast(Any, LabelStudio)(base_url=url, api_key=token, httpx_client=http)


def ensure_project(client: LabelStudio, title: str, label_config: str) -> int:
    """Id of the project with this title, which is made if there is none."""
    projects: Iterable[Any] = client.projects.list()
    for project in projects:
        if project.title == title:
            return int(project.id)
    created = client.projects.create(title=title, label_config=label_config)
    if created.id is None:
        raise RuntimeError(f"Label Studio gave the project {title!r} no id.")
    return created.id


def ensure_local_files(client: LabelStudio, project: int, folder: Path) -> None:
    """Let the project serve a folder; without such a record its files are 404, even for admins."""
    path = str(folder.resolve())
    if all(storage.path != path for storage in client.import_storage.local.list(project=project)):
        client.import_storage.local.create(
            project=project, path=path, title=folder.name, use_blob_urls=True
        )


def import_missing(client: LabelStudio, project: int, tasks: Sequence[Task]) -> int:
    """Import the tasks whose `id` the project does not hold yet; returns how many those were."""
    known = {task.data.get("id") for task in _tasks(client, project)}
    missing = [dict(task) for task in tasks if task["id"] not in known]
    if missing:
        client.projects.import_tasks(project, request=cast(Any, missing))
    return len(missing)


def ensure_backend(client: LabelStudio, project: int, url: str) -> None:
    """Connect the backend, with the webhook that reports corrections to it.

    A connection to another address, left from an earlier run, is replaced; Label Studio keeps the
    webhook of a backend that is deleted, so that one goes with it.

    Raises:
        InputError: Label Studio refuses the backend; the message holds its words.
    """
    connected = client.ml.list(project=project)
    if any(backend.url == url for backend in connected):
        return
    for backend in connected:
        if backend.title == BACKEND_TITLE and backend.id is not None:
            client.ml.delete(backend.id)
            for webhook in client.webhooks.list(project=project):
                if webhook.url == f"{backend.url}/webhook" and webhook.id is not None:
                    client.webhooks.delete(webhook.id)
    try:
        client.ml.create(project=project, url=url, title=BACKEND_TITLE)
    except ApiError as error:
        raise InputError(f"Label Studio refused the backend at {url}: {error.body}") from error
    if all(hook.url != f"{url}/webhook" for hook in client.webhooks.list(project=project)):
        raise InputError(
            f"Label Studio made no webhook for {url}, so corrections would be lost; "
            "use an address with a dot in its host name, or localhost."
        )


def ensure_tab(client: LabelStudio, project: int, *, shown: Sequence[str]) -> None:
    """A tab of the Data Manager that begins with what the model is least sure of.

    Its columns are the task's ``shown`` fields, its score and how many predictions and annotations
    there are. A tab of that title stays as people have changed it.
    """
    views: Iterable[Any] = client.views.list(project=project)
    if any(_data_of(view).get("title") == TAB for view in views):
        return
    task = next(iter(_tasks(client, project)), None)
    others = sorted(set(task.data if task else ()) - set(shown))
    hidden = [f"tasks:{name}" for name in HIDDEN_COLUMNS]
    hidden += [f"tasks:data.{name}" for name in others]
    data = {
        "title": TAB,
        "type": "list",
        "target": "tasks",
        "ordering": ["tasks:predictions_score"],
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
    }
    client.views.create(project=project, data=cast(Any, data))


def _data_of(view: Any) -> Mapping[str, Any]:
    data = view.data
    return data if isinstance(data, Mapping) else data.dict() if data is not None else {}


def tasks_without_prediction(
    client: LabelStudio, project: int, version: str | None = None
) -> list[int]:
    """Ids of tasks that carry no prediction (of this model version), in the project's order."""
    predicted = {
        prediction.task
        for prediction in client.predictions.list(project=project)
        if version in (None, prediction.model_version)
    }
    return [int(task.id) for task in _tasks(client, project) if task.id not in predicted]


def wait_for_predictions(
    client: LabelStudio, project: int, version: str, *, seconds: float = PREDICTION_SECONDS
) -> Iterator[int]:
    """Wait for predictions the backend delivers later; yields how many tasks still lack one.

    A large batch is answered in part, the rest comes through the API. Ends when all are there, or
    when none has come for `seconds`.
    """
    missing = len(tasks_without_prediction(client, project, version))
    last = time.monotonic()
    while missing and time.monotonic() - last < seconds:
        yield missing
        time.sleep(2.0)
        now = len(tasks_without_prediction(client, project, version))
        if now != missing:
            missing, last = now, time.monotonic()


def num_empty_predictions(client: LabelStudio, project: int) -> int:
    """How many predictions hold nothing: the backend had nothing to say about their tasks."""
    return sum(not prediction.result for prediction in client.predictions.list(project=project))


def _tasks(client: LabelStudio, project: int) -> Iterable[Any]:
    tasks: Iterable[Any] = client.tasks.list(project=project, fields="all")
    return tasks


def retrieve_predictions(
    client: LabelStudio, project: int, task_ids: Sequence[int], *, batch: int = 8
) -> Iterator[int]:
    """Do what 'Retrieve predictions' in the Data Manager does; yields how many tasks are done.

    Label Studio sends all tasks of one call in one request, hence batches. It says 200 whatever
    the backend answered: look at the tasks afterwards.
    """
    for start in range(0, len(task_ids), batch):
        chunk = list(task_ids[start : start + batch])
        client.actions.create(
            id="retrieve_tasks_predictions",
            project=project,
            selected_items={"all": False, "included": chunk},
            request_options=RequestOptions(timeout_in_seconds=PREDICTION_SECONDS),
        )
        yield start + len(chunk)
