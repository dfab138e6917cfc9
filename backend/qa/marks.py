"""What people said of suspects: fine, or to be fixed; who, and when.

A mark is about what was seen. It counts until the annotation's regions change: then the suspect is
one that nobody has looked at. The last word counts; earlier ones are kept as history.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.audit import audit_reasons
from backend.qa.events import LARGEST_ID, Row, clean
from backend.qa.figures import share
from backend.qa.queries import of_project
from backend.qa.store import Store
from backend.qa.times import now
from videogem.errors import InputError

LONGEST_NAME = 100  # characters, as the column holds
LONGEST_NOTE = 2000
ASSUMED_WORTH = 20  # marks that what is assumed of a reason counts as much as
AT_ONCE = 500  # annotations in one query


class Verdict(StrEnum):
    """What somebody says of a suspect."""

    fine = "fine"  # the label is right
    fix = "fix"  # it is wrong, and to be put right in Label Studio
    open = "open"  # nothing any more: a mark taken back


class Place(NamedTuple):
    """A frame of an annotation; ``item`` counts the frames of a list from 0."""

    server: str
    annotation: int
    item: int


class ChangedError(InputError):
    """The annotation is no longer what was looked at."""


class GoneError(InputError):
    """There is no such annotation, or no longer."""


def place_of(row: Row) -> Place:
    """The place of a suspect or of a mark."""
    return Place(row["server"], row["annotation_id"], row["item"])


def digest(annotation: Row) -> str:
    """What an annotation shows, as a fixed text: the same as long as no region changes."""
    regions = sorted(json.dumps(region, sort_keys=True) for region in annotation["result"])
    return hashlib.sha256("\n".join(regions).encode()).hexdigest()


def find_annotation(store: Store, place: Place) -> Row:
    """The annotation of a place, whose server may be left out where only one has it.

    Raises:
        InputError: there is none, or several servers have one of that number.
    """
    with store.read() as connection:
        return _annotation(connection, place)


def put_mark(
    store: Store,
    place: Place,
    verdict: Verdict,
    *,
    by: str = "",
    reasons: Iterable[str] = (),
    note: str | None = None,
    seen: str | None = None,
) -> Row:
    """Keep what somebody says of a suspect.

    ``reasons`` are the codes for which it was suspected, ``seen`` is the ``digest`` of what they
    looked at.

    Raises:
        ChangedError: the annotation has other regions by now.
        InputError: as ``find_annotation``.
    """
    if place.item > LARGEST_ID:
        raise InputError(f"No annotation has {place.item} frames.")
    with store.write() as connection:
        known = _annotation(connection, place)
        now_shown = digest(known)
        if seen and seen != now_shown:
            raise ChangedError(
                f"Annotation {place.annotation} was changed since you looked at it; nothing was "
                "kept. Look at it again."
            )
        row = {
            "server": known["server"],
            "project_id": known["project_id"],
            "task_id": known["task_id"],
            "annotation_id": known["id"],
            "item": place.item,
            "version": known["version"],
            "seen": now_shown,
            "reasons": sorted(set(reasons)),
            "verdict": str(verdict),
            "marked_by": str(clean(by.strip()))[:LONGEST_NAME],
            "marked_at": now(),
            "note": str(clean(note.strip()))[:LONGEST_NOTE] if note and note.strip() else None,
        }
        connection.execute(schema.audit_marks.insert().values(**row))
    return row


def marks_of(store: Store, project: ProjectKey | None = None) -> list[Row]:
    """Every mark of a project, or of all, the oldest first."""
    return store.rows(schema.audit_marks, *of_project(schema.audit_marks, project))


def all_marks(store: Store, project: ProjectKey | None = None) -> list[Row]:
    """The same; ``counts`` says which count now.

    Those that do not were followed by another, are taken back, or were about regions that have
    changed since.
    """
    marks = marks_of(store, project)
    last = {place_of(mark): mark["id"] for mark in marks}
    newest = [m for m in marks if last[place_of(m)] == m["id"] and m["verdict"] != Verdict.open]
    shown = _unchanged(store, newest)
    return [{**mark, "counts": mark["id"] in shown} for mark in marks]


def last_mark(store: Store) -> int:
    """The number of the last mark, 0 before the first: it changes with every mark."""
    with store.read() as connection:
        query = sa.select(sa.func.max(schema.audit_marks.c.id))
        return connection.execute(query).scalar() or 0


def reviewed(store: Store, suspects: Sequence[Row], project: ProjectKey | None) -> Row:
    """What a report says of its suspects: those nobody has marked yet and how many by reason, the
    marked ones, and what the marks say of the reasons.
    """
    marks = all_marks(store, project)
    counting = {place_of(mark): mark for mark in marks if mark["counts"]}
    left = [suspect for suspect in suspects if place_of(suspect) not in counting]
    marked = [{**s, "mark": counting[place_of(s)]} for s in suspects if place_of(s) in counting]
    by_reason = Counter(code for suspect in left for code in codes_of(suspect))
    verdicts = Counter(mark["verdict"] for mark in counting.values())
    return {
        "audit": left,
        "audit_counts": {code: by_reason[code] for code in audit_reasons() if by_reason[code]},
        "marked": marked,
        "marks": {
            "fine": verdicts[Verdict.fine],
            "fix": verdicts[Verdict.fix],
            "evidence": evidence(marks),
        },
    }


def codes_of(suspect: Row) -> set[str]:
    """The codes of a suspect's reasons."""
    return {reason["reason"] for reason in suspect["reasons"]}


def evidence(marks: Sequence[Row]) -> dict[str, Row]:
    """By reason: the share of its marked suspects that were to be fixed, with its interval.

    The last mark of each state of an annotation counts, also after it was fixed. A suspect with
    several reasons counts for each.
    """
    last = {(*place_of(mark), mark["seen"]): mark for mark in marks}
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for mark in last.values():
        if mark["verdict"] != Verdict.open:
            for reason in mark["reasons"]:
                verdicts[reason].append(mark["verdict"] == Verdict.fix)
    return {
        code: share(sum(verdicts[code]), len(verdicts[code]))
        for code in audit_reasons()
        if verdicts[code]
    }


def weights(found: Mapping[str, Row]) -> dict[str, float]:
    """How often each reason is right, from a team's own evidence beside what is assumed of it.

    What is assumed counts as so many marks: a few of a team's own hardly move it, hundreds outweigh
    it.
    """
    return {
        code: (found[code]["hits"] + ASSUMED_WORTH * reason.weight)
        / (found[code]["n"] + ASSUMED_WORTH)
        for code, reason in audit_reasons().items()
        if code in found
    }


def _annotation(connection: sa.Connection, place: Place) -> Row:
    table = schema.annotations
    where = [table.c.id == place.annotation, table.c.deleted_at.is_(None)]
    if place.server:
        where.append(table.c.server == place.server)
    found: list[Row] = []
    if place.annotation <= LARGEST_ID:
        found = [dict(row) for row in connection.execute(sa.select(table).where(*where)).mappings()]
    if not found:
        raise GoneError(f"There is no annotation {place.annotation}: it may be deleted.")
    if len(found) > 1:
        named = ", ".join(sorted(row["server"] for row in found))
        raise InputError(
            f"Several servers have an annotation {place.annotation}; name one as server: {named}."
        )
    return found[0]


def _unchanged(store: Store, marks: Sequence[Row]) -> set[int]:
    """Ids of the marks whose annotation is what was seen."""
    table = schema.annotations
    by_server: dict[str, list[Row]] = defaultdict(list)
    for mark in marks:
        by_server[mark["server"]].append(mark)
    kept: set[int] = set()
    with store.read() as connection:
        for server, theirs in by_server.items():
            for start in range(0, len(theirs), AT_ONCE):
                some = theirs[start : start + AT_ONCE]
                where = [table.c.server == server, table.c.deleted_at.is_(None)]
                ids = table.c.id.in_({mark["annotation_id"] for mark in some})
                query = sa.select(table.c.id, table.c.version).where(*where, ids)
                versions = {row.id: row.version for row in connection.execute(query)}
                same = [m for m in some if versions.get(m["annotation_id"]) == m["version"]]
                kept |= {mark["id"] for mark in same}
                # A new version may differ in what nobody sees, such as its time.
                others = {m["annotation_id"] for m in some if m["id"] not in kept}
                query = sa.select(table.c.id, table.c.result).where(
                    *where, table.c.id.in_(others & versions.keys())
                )
                shown = {
                    row.id: digest({"result": row.result}) for row in connection.execute(query)
                }
                kept |= {m["id"] for m in some if shown.get(m["annotation_id"]) == m["seen"]}
    return kept
