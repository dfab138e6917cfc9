"""Annotations with the first key of each track alone, which is what the audit looks at.

A track of an hour has 17 MB: reading it anew after each change anywhere in its project would take
seconds of every page. So what is left of those with very many keys is kept in memory.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from backend.database import schema
from backend.labeling.shapes import number
from backend.qa.events import Row
from backend.qa.regions import read_region
from backend.qa.store import Store

MANY = 1000  # keys, of all tracks of an annotation
FEW = 200  # other regions, so that little is kept
KEPT = 2000  # annotations

Known = tuple[int, Row]  # number of the last change of its task, and the annotation


class FirstKeys:
    """Reads annotations of a store. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], Known] = OrderedDict()

    def rows(self, server: str, ids: Sequence[int]) -> list[Row]:
        """These annotations of a server, in any order; those that are not there are left out."""
        c = schema.annotations.c
        changes = self._changes(server, ids)  # first: a row that changes meanwhile is read again
        with self._lock:
            known = [self._known.get((server, each)) for each in ids]
        same = [row for change, row in filter(None, known) if changes.get(row["id"]) == change]
        others = set(ids) - {row["id"] for row in same}
        read = self._store.rows(schema.annotations, c.server == server, c.id.in_(others))
        for row in filter(_is_long, read):
            row["result"] = [_with_first_key(region) for region in row["result"]]
            if row["id"] in changes:
                self._keep(server, row, changes[row["id"]])
        return [*same, *read]

    def _changes(self, server: str, ids: Sequence[int]) -> dict[int, int]:
        """Numbers of the last changes of annotations' tasks."""
        c, changes = schema.annotations.c, schema.score_changes.c
        same = sa.and_(changes.server == c.server, changes.task_id == c.task_id)
        query = sa.select(c.id, changes.change).join(schema.score_changes, same)
        with self._store.read() as connection:
            found = connection.execute(query.where(c.server == server, c.id.in_(ids)))
            return {row.id: row.change for row in found}

    def _keep(self, server: str, row: Row, change: int) -> None:
        with self._lock:
            self._known[server, row["id"]] = change, row
            self._known.move_to_end((server, row["id"]))
            while len(self._known) > KEPT:
                self._known.popitem(last=False)


def _is_long(row: Row) -> bool:
    tracks = [region for region in row["result"] if _sequence(region)]
    keys = sum(len(_sequence(region)) for region in tracks)
    return keys >= MANY and len(row["result"]) <= FEW + len(tracks)


def _sequence(region: object) -> list[object]:
    value = region.get("value") if isinstance(region, Mapping) else None
    found = value.get("sequence") if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


def _with_first_key(region: Row) -> Row:
    """The region with those keys alone that are at its first frame."""
    if not _sequence(region):
        return region
    track = read_region(region, {})
    first = track.keys[0].frame if track is not None and track.keys else None
    kept = [key for key in _sequence(region) if first is not None and _frame(key) == first]
    return {**region, "value": {**region["value"], "sequence": kept}}


def _frame(key: object) -> int | None:
    frame = number(key.get("frame")) if isinstance(key, Mapping) else None
    return None if frame is None else int(frame)
