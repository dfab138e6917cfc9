"""Reconciling the store with Label Studio: what webhooks lost is fetched, what is gone is buried.

Label Studio sends each event once and forgets it (no retry, one second of patience), so a store
that only listens drifts away. Everything here is idempotent; a sync that was cut off is repeated.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeGuard, cast

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import clock, short
from backend.database.keys import ProjectKey
from backend.database.turns import in_turn
from backend.label_studio.client import LabelStudio, LabelStudioError, TaskPage
from backend.label_studio.webhooks import WebhookKeeper
from backend.qa.estimates.accepting import watch
from backend.qa.events import LARGEST_ID, Changes, clean, project_row, read_task
from backend.qa.queries import of_project
from backend.qa.state import Listing, time_of
from backend.qa.store import Store
from backend.qa.times import now

logger = logging.getLogger(__name__)
MOST_GONE = 0.1  # share of a project that may vanish between two syncs without anybody asking
FEW = 10  # and a number that may anyhow: a small project changes in leaps
MOST_STRANGERS = 100  # projects that are asked for although Label Studio never had them
SHORTEST_GAP_S = 30.0  # between two syncs that events without payload ask for
START_S = 2.0  # after the start: Label Studio answers some questions only after asking us one


class Api(Protocol):
    """The calls a sync makes (`backend.label_studio.client.LabelStudio`)."""

    def task_pages(self, project: int) -> Iterator[TaskPage]: ...

    def project(self, project: int) -> dict[str, Any]: ...


class SyncStoppedError(LabelStudioError):
    """A sync would have buried more than anybody deletes by hand; it buried nothing."""


@dataclass(frozen=True)
class SyncResult:
    """What one sync of a project saw, and what is different in the store after it."""

    project: ProjectKey
    tasks: int
    annotations: int
    missing: int  # annotations the store did not have, or took for deleted
    outdated: int  # annotations the store knew in an older state
    gone: int  # annotations that Label Studio no longer has
    gone_tasks: int
    predictions: int  # predictions the store did not know

    @property
    def repaired(self) -> int:
        return self.missing + self.outdated + self.gone + self.gone_tasks + self.predictions


def sync_project(store: Store, api: Api, project: ProjectKey, *, force: bool = False) -> SyncResult:
    """Make the store agree with Label Studio about one project.

    What Label Studio lists is alive, whatever the store was told before. A project that it no
    longer has leaves the figures, until it is seen again.

    Raises:
        SyncStoppedError: more than a tenth would be buried; nothing is, unless ``force``.
        LabelStudioError: not reachable, or it refused; what was merged until then stays.
    """
    begun = database_time(store)
    try:
        result = _sync(store, api, project, force=force)
    except LabelStudioError as error:
        if error.status == 404 and error.path == f"/api/projects/{project.id}/":
            store.bury_project(project)
        store.note_sync(project, str(error))
        raise
    store.note_sync(project, None, begun)
    return result


def database_time(store: Store) -> float:
    """Unix time by the clock that all backends of this store share."""
    with store.read() as connection:
        return clock(connection)


def _sync(store: Store, api: Api, project: ProjectKey, *, force: bool) -> SyncResult:
    store.process_pending()
    server, number = project
    listed_at = now()
    before = _state(store, project)
    known_annotations, known_tasks = before.alive("annotations"), before.alive("tasks")
    listing = Listing(listed_at, *(before.versions(name) for name in Listing._fields[1:]))
    told = clean(api.project(number))
    if not isinstance(told.get("label_config"), str):  # else an empty answer would empty it here
        raise LabelStudioError(f"Label Studio gave project {number} in a form that is not known.")
    row = {**project_row(told, now()), "id": number}
    store.merge(server, Changes(projects=[row]), listing)
    seen_tasks: set[int] = set()
    seen: set[int] = set()
    for page in _pages(api, number):
        changes = Changes()
        for task in page:
            read_task(task, changes, now(), number)
        seen_tasks |= {row["id"] for row in changes.tasks}
        seen |= {row["id"] for row in changes.annotations}
        store.merge(server, changes, listing)
    gone, gone_tasks = known_annotations.keys() - seen, known_tasks.keys() - seen_tasks
    if gone or gone_tasks:
        # Something may have been made while the pages were read: only what a second look does
        # not find either is gone.
        for page in _pages(api, number):
            gone_tasks -= {task["id"] for task in page}
            gone -= {a["id"] for task in page for a in task.get("annotations") or []}
        # Annotations of a task that was deleted go with it: nobody needs to ask about them.
        asked = {i for i in gone if known_annotations[i].task_id in known_tasks}
        if not force:
            _stop_if_too_many(asked, known_annotations, gone_tasks, known_tasks, project)
        store.merge(
            server, Changes(deleted_annotations=sorted(gone), deleted_tasks=sorted(gone_tasks))
        )
    after = _state(store, project)
    annotations_after = after.alive("annotations")
    changed = annotations_after.keys() & known_annotations.keys() & seen
    return SyncResult(
        project=project,
        tasks=len(seen_tasks),
        annotations=len(seen),
        missing=len((annotations_after.keys() - known_annotations.keys()) & seen),
        outdated=sum(annotations_after[i].time != known_annotations[i].time for i in changed),
        gone=len(gone - annotations_after.keys()),
        gone_tasks=len(gone_tasks - after.alive("tasks").keys()),
        predictions=len(after.predictions - before.predictions),
    )


def _stop_if_too_many(
    gone: Collection[int],
    known: Collection[int],
    gone_tasks: Collection[int],
    known_tasks: Collection[int],
    project: ProjectKey,
) -> None:
    for what, lost, all_known in (
        ("annotations", gone, known), ("tasks", gone_tasks, known_tasks)
    ):  # fmt: skip
        if len(lost) > max(FEW, MOST_GONE * len(all_known)):
            raise SyncStoppedError(
                f"Label Studio no longer lists {len(lost)} of {len(all_known)} {what} of project "
                f"{project.id}, without having said that they were deleted. Nothing was removed; "
                f"if they are gone for good, run `videogem qa sync --project {project.id} --force`."
            )


def known_projects(store: Store) -> list[ProjectKey]:
    """Projects that events, predictions or /setup have named, those first that were in step once.

    Anybody may name projects: of those that Label Studio never had some are asked for, in case that
    only the token does not see them.
    """
    found: set[tuple[str, int]] = set()
    with store.read() as connection:
        c = schema.projects.c
        in_step = sa.select(c.server, c.id).where(c.synced_at.is_not(None))
        known = {(server, number) for server, number in connection.execute(in_step)}
        absent = sa.select(c.server, c.id).where(c.synced_at.is_(None), c.deleted_at.is_not(None))
        strangers = {(server, number) for server, number in connection.execute(absent)}
        for table, column in (
            (schema.projects, schema.projects.c.id),
            (schema.tasks, schema.tasks.c.project_id),
            (schema.annotations, schema.annotations.c.project_id),
            (schema.predictions, schema.predictions.c.project_id),
            (schema.project_webhooks, schema.project_webhooks.c.project_id),
        ):
            query = sa.select(table.c.server, column).where(column.is_not(None)).distinct()
            found |= {(server, number) for server, number in connection.execute(query)}
    unknown = sorted(found & strangers)[:MOST_STRANGERS]
    return [
        ProjectKey(*key)
        for key in (*sorted(found & known), *sorted(found - known - strangers), *unknown)
    ]


def keep_in_sync(
    store: Store,
    connections: Any,
    *,
    every_s: float,
    webhooks: WebhookKeeper | None = None,
    stop: threading.Event | None = None,
) -> threading.Thread:
    """Sync all known projects: at once, on a timer, and soon after an event without its payload.

    What was missed while nobody listened can be found in no other way than at the start; so with
    ``every_s`` 0 only the timer is off, and a round that met no database or no Label Studio is
    made again until it does. Of several backends on one store one syncs at a time, and
    the others leave out what it has compared meanwhile.
    """
    stop = stop or store.closed
    told: dict[ProjectKey, str] = {}  # a project that was deleted fails every time: say it once

    def sync_all(since: float) -> bool:
        """Whether all could be asked for: a server or database that is gone may soon be back."""
        all_there = True
        for project in known_projects(store):
            if stop.is_set():
                break
            try:
                api = connections.get(project)
                if api is None or not api.has_token or _is_synced(store, project, since):
                    continue
                _sync_one(store, api, project, webhooks)
                told.pop(project, None)
            except LabelStudioError as error:
                if told.get(project) != str(error):
                    logger.warning(
                        "project %d of %s could not be synced: %s",
                        project.id, project.server or "Label Studio", error,
                    )  # fmt: skip
                told[project] = str(error)
                all_there &= error.status is not None and error.status < 500
            except (sa.exc.SQLAlchemyError, OSError):
                raise
            except Exception:  # one project's trouble is not the next one's
                logger.exception("project %d could not be synced", project.id)
        return all_there

    wished = time.monotonic()

    def work() -> None:
        nonlocal wished
        stop.wait(START_S)
        while not stop.is_set():
            store.sync_wanted.clear()
            all_there = True
            try:
                since = database_time(store) - (time.monotonic() - wished)
                with in_turn(store.engine, "sync", stop) as mine:
                    if mine:
                        all_there = sync_all(since)
            except (sa.exc.SQLAlchemyError, OSError) as error:
                all_there = False
                logger.warning("projects are synced later: %s", short(error))
            except Exception:  # the top of a thread: the next round tries again
                logger.exception("the store's projects cannot be read")
            stop.wait(SHORTEST_GAP_S)
            if not all_there and not store.sync_wanted.is_set():
                continue  # what this round left out, and no more
            if not stop.is_set():
                wanted = store.sync_wanted.wait(timeout=every_s or None)
                # By the timer, what another backend did not long ago does for this one, too.
                wished = time.monotonic() - (0.0 if wanted else every_s / 2)

    thread = threading.Thread(target=work, name="qa-sync", daemon=True)
    thread.start()
    return thread


def _is_synced(store: Store, project: ProjectKey, since: float) -> bool:
    """Whether a comparison that began since then has found a project in step; one that begins
    later than now was noted by a wrong clock.
    """
    table = schema.projects
    query = sa.select(table.c.sync_begun).where(
        table.c.server == project.server, table.c.id == project.id
    )
    with store.read() as connection:
        begun = connection.execute(query).scalar()
        return begun is not None and since <= begun <= clock(connection)


def _sync_one(store: Store, api: Any, project: ProjectKey, webhooks: WebhookKeeper | None) -> None:
    """First the webhook, so that nothing is made between the comparison and the next event."""
    refused = None
    if webhooks is not None:
        try:
            webhooks.look(project, cast(LabelStudio, api))
        except LabelStudioError as error:  # a user may see tasks and not webhooks
            refused = error
    result = sync_project(store, api, project)
    watch(store, project)
    if result.repaired:
        logger.info("quality store repaired from Label Studio: %s", result)
    if refused is not None:
        logger.warning("project %d: its webhook could not be checked: %s", project.id, refused)


class _Known(NamedTuple):
    """One thing of the store, without what it says: of all of a project that is too much."""

    version: str
    is_alive: bool
    task_id: int | None = None

    @property
    def time(self) -> str:
        return time_of(self._asdict())


@dataclass(frozen=True)
class _State:
    """What is known of a project: each table's rows by id, and the keys of its predictions."""

    rows: dict[str, dict[int, _Known]]
    predictions: set[str]

    def versions(self, table: str) -> dict[int, str]:
        return {id: known.version for id, known in self.rows[table].items()}

    def alive(self, table: str) -> dict[int, _Known]:
        return {id: known for id, known in self.rows[table].items() if known.is_alive}


def _state(store: Store, project: ProjectKey) -> _State:
    rows: dict[str, dict[int, _Known]] = {}
    with store.read() as connection:
        for table in schema.projects, schema.tasks, schema.annotations:
            c = table.c
            of_task = [c.task_id] if table is schema.annotations else []
            its = [c.server == project.server, c.id == project.id]
            where = its if table is schema.projects else of_project(table, project)
            found = connection.execute(
                sa.select(c.id, c.version, c.deleted_at.is_(None), *of_task).where(*where)
            )
            rows[table.name] = {row[0]: _Known(*row[1:]) for row in found}
        table = schema.predictions
        query = sa.select(table.c.key).where(*of_project(table, project))
        return _State(rows, set(connection.execute(query).scalars()))


def _pages(api: Api, project: int) -> Iterator[list[dict[str, Any]]]:
    for page in api.task_pages(project):
        if not all(map(_is_task, page.tasks)):
            raise LabelStudioError(
                f"Label Studio listed the tasks of project {project} in a form that is not known."
            )
        yield clean(page.tasks)


def _is_task(task: object) -> bool:
    """Whether a task is of the form it must have: what is passed over would count as deleted."""
    if not _has_id(task) or not isinstance(task.get("data"), dict):
        return False
    annotations = task.get("annotations") or []
    return isinstance(annotations, list) and all(
        _has_id(a) and isinstance(a.get("result"), list) for a in annotations
    )


def _has_id(thing: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object with an id that the tables take."""
    number = thing.get("id") if isinstance(thing, dict) else None
    return type(number) is int and abs(number) <= LARGEST_ID
