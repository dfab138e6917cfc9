"""All figures of a selection of annotations, as one plain dictionary."""

import math

import numpy as np

from backend.database import schema
from backend.database.keys import ProjectKey, project_text
from backend.qa.agreement import agreement_matrix
from backend.qa.annotators import annotator_table
from backend.qa.audit_lists import AuditList, AuditLists, make_list
from backend.qa.compare import side_by_side
from backend.qa.counted import counted_rows, edited, free, judged_by_none, points_of
from backend.qa.curve import SMALL_N, curve
from backend.qa.events import Row
from backend.qa.figures import NO_SHARE
from backend.qa.ledger import Snapshot
from backend.qa.marks import reviewed
from backend.qa.queries import resolve
from backend.qa.reliability import reliability, uncalibrated
from backend.qa.selection import Filters, Selection, names_of
from backend.qa.store import Store
from backend.qa.table import DIMENSIONS, NONE, Table
from backend.qa.tally import (
    mean_of_points,
    means_of_points,
    pointing,
    share_of_points,
    share_of_rows,
    shares_of_points,
)
from backend.qa.targets import judge, target_of
from backend.qa.throughput import throughput

OUTCOMES = ("accepted", "moved", "resized", "relabelled", "deleted", "added", "skipped")


def build_report(
    store: Store,
    filters: Filters,
    *,
    tolerance: float = 5.0,
    audits: AuditLists | None = None,
) -> Row:
    """Every figure of the selection; ``tolerance`` is in % of the diagonal (keypoint projects).

    With ``audits`` the audit list of many annotations may be older than the figures; then
    ``audit_as_of`` says of when it is ("": it is being made for the first time).
    """
    store.catch_up()
    snapshot = store.ledger.look()
    project = resolve(store, filters.project)
    selection = Selection.of(snapshot, filters, project)
    if audits is None:
        audit = make_list(store, project)
    else:
        audit = audits.get(project, int(selection.everything.where("kind", "annotation").sum()))
    shown = selection.servers_shown
    found = figures(selection, filters, tolerance=tolerance)
    return {
        **found,
        "target": judge(target_of(store, project), found),
        "versions": side_by_side(selection),
        "throughput": throughput(selection.annotations, servers_shown=shown),
        **(listed := _audit(selection, audit, snapshot)),
        **reviewed(store, listed["suspects"], project),
        "agreement": agreement_matrix(
            selection.annotations, snapshot.overlaps, servers_shown=shown
        ),
        "annotators": annotator_table(
            selection.rows,
            selection.annotations,
            snapshot.overlaps,
            servers_shown=shown,
        ),
        "unreadable": _num_unreadable(snapshot, project),
        **standing(store, filters.project),
    }


def standing(store: Store, project: ProjectKey | None) -> Row:
    """What a report says of the store itself, apart from any figure."""
    return {
        "projects": listed_projects(store),
        "sync_errors": _sync_errors(store, project),
        "inbox": store.inbox_counts(),
        "recount": None if (found := store.recount()) is None else found._asdict(),
    }


def figures(selection: Selection, filters: Filters, *, tolerance: float) -> Row:
    """The figures that follow from the selected rows alone."""
    rows, shown = selection.rows, selection.servers_shown
    counted = counted_rows(rows, by_version=bool(filters.model_version))
    versions = counted_rows(rows, by_version=True)
    verdicts = rows.take(rows.where("kind", "annotation"))
    boxes = counted.take(counted.where("kind", "box", "track") & ~counted.where("outcome", "added"))
    breakdowns = {
        name: breakdown(versions if name == "model_version" else counted, name, servers_shown=shown)
        for name in DIMENSIONS
    }
    return {
        "filters": filters.active(),
        "headline": pointing(counted),
        "macro": macro(breakdowns["label"]),
        "subsets": subsets(counted),
        "accepted": _accepted(counted),
        "bulk": int(verdicts.where("outcome", "bulk").sum()),
        "skipped": share_of_rows(verdicts, verdicts.where("outcome", "skipped")),
        "outcomes": _outcomes(rows),
        "overlap": {
            **mean_of_points(boxes, "iou"),
            **{f"at_{least}": _share_at_least(boxes, least / 100) for least in (30, 50)},
        },
        "distance": {
            side: mean_of_points(points_of(counted), f"distance_{side}")
            for side in ("diagonal", "side")
        },
        "keypoints_only": keypoints_only(counted, tolerance),
        "breakdowns": breakdowns,
        "curve": curve(counted),
        "reliability": reliability(counted),
        "uncalibrated": uncalibrated(counted),
        "choices": {
            name: _values(selection.everything, name, servers_shown=shown)
            for name in DIMENSIONS
            if name != "project_id"
        },
        "without_prediction": int(verdicts.where("outcome", "no prediction").sum()),
        "left_out": int(np.nansum(rows["left_out"])),
    }


def subsets(counted: Table) -> dict[str, Row]:
    """The headline apart by how the reviewer came to the label: seeing a prediction biases."""
    return {
        "independent": pointing(counted.take(free(counted))),
        "edited": pointing(counted.take(edited(counted))),
    }


def breakdown(counted: Table, name: str, *, servers_shown: bool = False) -> list[Row]:
    """Figures by one property, the largest first, each with n and interval."""
    shares = shares_of_points(counted, counted[name], counted["hit"])
    points = points_of(counted)
    boxes = counted.take(counted.where("kind", "box", "track") & ~counted.where("outcome", "added"))
    overlaps = means_of_points(boxes, boxes[name], "iou")
    distances = means_of_points(points, points[name], "distance_diagonal")
    values = names_of(counted, name, servers_shown=servers_shown)
    rows = []
    for code in sorted(shares.keys() | overlaps.keys() | distances.keys()):
        figure = shares.get(code, NO_SHARE)
        rows.append(
            {
                "name": values[code],
                **figure,
                "mean_iou": overlaps.get(code),
                "distance": distances.get(code),
                "small": figure["n"] < SMALL_N,
            }
        )
    return sorted(rows, key=lambda row: (-row["n"], str(row["name"])))


def keypoints_only(counted: Table, tolerance: float) -> Row:
    """Points that no box can judge: hits within a distance of the corrected point."""
    return {"tolerance": tolerance, **share_of_points(*judged_by_none(counted, tolerance))}


def macro(by_label: list[Row]) -> float | None:
    """Mean of the accuracies by label, each label counting the same."""
    known = [row["accuracy"] for row in by_label if row["n"]]
    return math.fsum(known) / len(known) if known else None


def _share_at_least(boxes: Table, least: float) -> Row:
    return share_of_points(boxes, np.where(np.isnan(boxes["iou"]), NONE, boxes["iou"] >= least))


def _outcomes(rows: Table) -> list[Row]:
    """What became of predicted regions; added ones are no part of those, so they have no share."""
    regions = rows.take(~rows.where("kind", "annotation") & rows.where("outcome", *OUTCOMES))
    added = regions.where("outcome", "added")
    predicted = regions.take(~added)
    shares = {o: share_of_rows(predicted, predicted.where("outcome", o)) for o in OUTCOMES}
    shares["added"] = {**NO_SHARE, "hits": int(added.sum())}
    return [{"outcome": outcome, **figure} for outcome, figure in shares.items()]


def _accepted(counted: Table) -> Row:
    """Share of annotations that are the prediction they were started from."""
    given = counted.take(counted.where("kind", "annotation"))
    started = given.take(given.where("outcome", "accepted", "edited"))
    return share_of_rows(started, started.where("outcome", "accepted"))


def _audit(selection: Selection, audit: AuditList, snapshot: Snapshot) -> Row:
    """The suspects among the selected annotations, marked or not."""
    chosen = set(selection.annotations["annotation"].tolist())
    find = snapshot.vocabulary["annotation"].find
    listed = [s for s in audit.suspects if find((s["server"], s["annotation_id"])) in chosen]
    return {
        "suspects": listed,
        "audit_as_of": None if audit.version == snapshot.version else audit.at or "",
    }


def _num_unreadable(snapshot: Snapshot, project: ProjectKey | None) -> int:
    if project is None:
        return len(snapshot.unreadable)
    code = snapshot.vocabulary["project_id"].find(tuple(project))
    return 0 if code is None else int((snapshot.unreadable == code).sum())


def listed_projects(store: Store) -> list[Row]:
    """What the project filter offers; the server is shown where there are several."""
    projects = schema.projects
    alive = store.rows(projects, projects.c.deleted_at.is_(None))
    several = len({p["server"] for p in alive}) > 1
    return [
        {
            "value": project_text(ProjectKey(p["server"] if several else "", p["id"])),
            "id": p["id"],
            "title": p["title"],
            "server": p["server"] if several else "",
        }
        for p in alive
    ]


def _sync_errors(store: Store, project: ProjectKey | None) -> list[Row]:
    """Projects that could not be compared with Label Studio, and why."""
    projects = schema.projects
    failed = store.rows(projects, projects.c.sync_error.is_not(None))
    return [
        {"id": p["id"], "title": p["title"], "server": p["server"], "error": p["sync_error"]}
        for p in failed
        if project is None or p["id"] == project.id
    ]


def _values(rows: Table, name: str, *, servers_shown: bool) -> list[str]:
    """The different values of a dimension, as texts in alphabetical order."""
    shown = names_of(rows, name, servers_shown=servers_shown)
    return sorted({str(shown[code]) for code in np.unique(rows[name]).tolist() if code != NONE})
