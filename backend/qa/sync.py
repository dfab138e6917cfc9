"""Reconciling the store with Label Studio: what webhooks lost is fetched, what is gone is buried.

Label Studio sends each event once and forgets it (no retry, one second of patience), so a store
that only listens drifts away. Everything here is idempotent; a sync that was cut off is repeated.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from backend.database import schema
from backend.label_studio.client import LabelStudioError
from backend.qa.events import Changes, Row, project_row, read_task
from backend.qa.store import Store
from backend.qa.times import now

logger = logging.getLogger(__name__)
PAGE_SIZE = 100
SHORTEST_GAP_S = 30.0  # between two syncs that events without payload ask for


class Api(Protocol):
    """The calls a sync makes (`backend.label_studio.client.LabelStudio`)."""

    def call(self, method: str, path: str, **options: Any) -> Any: ...

    def project(self, project: int) -> dict[str, Any]: ...


@dataclass(frozen=True)
class SyncResult:
    """What one sync of a project saw and repaired."""

    project: int
    tasks: int
    annotations: int
    missing: int  # annotations the store did not know
    outdated: int  # annotations the store knew in an older state
    gone: int  # annotations that Label Studio no longer has
    gone_tasks: int
    predictions: int  # predictions the store did not know

    @property
    def repaired(self) -> int:
        return self.missing + self.outdated + self.gone + self.gone_tasks + self.predictions


def sync_project(store: Store, api: Api, project: int) -> SyncResult:
    """Make the store agree with Label Studio about one project.

    Raises:
        LabelStudioError: not reachable, or it refused; what was merged until then stays.
    """
    store.process_pending()
    before = {row["id"]: row for row in _known(store, schema.annotations, project)}
    known_tasks = {row["id"] for row in _known(store, schema.tasks, project)}
    keys = store.values(schema.predictions.c.key)
    store.merge(Changes(projects=[project_row(api.project(project), now())]))
    seen_tasks: set[int] = set()
    seen: dict[int, Row] = {}
    new_predictions = 0
    for page in _pages(api, project):
        changes = Changes()
        for task in page:
            read_task(task, changes, now(), project)
        seen_tasks |= {row["id"] for row in changes.tasks}
        seen |= {row["id"]: row for row in changes.annotations}
        new_predictions += len({row["key"] for row in changes.predictions} - keys)
        store.merge(changes)
    gone, gone_tasks = before.keys() - seen.keys(), known_tasks - seen_tasks
    if gone or gone_tasks:
        # Something may have been made while the pages were read: only what a second look does
        # not find either is gone.
        again = [task for page in _pages(api, project) for task in page]
        gone -= {a["id"] for task in again for a in task.get("annotations") or []}
        gone_tasks -= {task["id"] for task in again}
        store.merge(Changes(deleted_annotations=sorted(gone), deleted_tasks=sorted(gone_tasks)))
    return SyncResult(
        project=project,
        tasks=len(seen_tasks),
        annotations=len(seen),
        missing=len(seen.keys() - before.keys()),
        outdated=sum(_time(row) > _time(before[i]) for i, row in seen.items() if i in before),
        gone=len(gone),
        gone_tasks=len(gone_tasks),
        predictions=new_predictions,
    )


def known_projects(store: Store) -> list[int]:
    """Projects that events or predictions have named."""
    found = store.values(schema.projects.c.id)
    for table in schema.tasks, schema.annotations, schema.predictions:
        found |= store.values(table.c.project_id)
    return sorted(found - {None})


def keep_in_sync(
    store: Store, connections: Any, *, every_s: float, stop: threading.Event | None = None
) -> threading.Thread:
    """Sync all known projects on a timer, and soon after an event that came without its payload."""
    stop = stop or store.closed
    told: dict[int, str] = {}  # a project that was deleted fails every time: say it once

    def work() -> None:
        while not stop.is_set():
            store.sync_wanted.wait(timeout=every_s)
            if stop.is_set():
                return
            store.sync_wanted.clear()
            for project in known_projects(store):
                api = connections.get(connections.key(project))
                if api is None or not api.has_token:
                    continue
                try:
                    result = sync_project(store, api, project)
                    if result.repaired:
                        logger.info("quality store repaired from Label Studio: %s", result)
                    told.pop(project, None)
                except LabelStudioError as error:
                    if told.get(project) != str(error):
                        logger.warning("project %d could not be synced: %s", project, error)
                    told[project] = str(error)
                except Exception:  # the top of a thread: the next round tries again
                    logger.exception("project %d could not be synced", project)
            stop.wait(SHORTEST_GAP_S)

    thread = threading.Thread(target=work, name="qa-sync", daemon=True)
    thread.start()
    return thread


def _known(store: Store, table: Any, project: int) -> list[Row]:
    return store.rows(table, table.c.project_id == project, table.c.deleted_at.is_(None))


def _pages(api: Api, project: int) -> Iterator[list[Mapping[str, Any]]]:
    """All tasks of a project with their annotations and predictions, page by page."""
    page, read = 1, 0
    while True:
        params = {"project": project, "page": page, "page_size": PAGE_SIZE, "fields": "all"}
        found = api.call("GET", "/api/tasks/", params=params)
        tasks = found.get("tasks") if isinstance(found, Mapping) else None
        if not isinstance(tasks, list):
            raise LabelStudioError("Label Studio answered /api/tasks/ in a form that is not known.")
        yield tasks
        read, page = read + len(tasks), page + 1
        if not tasks or read >= int(found.get("total") or 0):
            return


def _time(row: Row) -> str:
    return str(row["version"]).split(" ")[0]
