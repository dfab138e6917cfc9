"""All figures of a selection of annotations, as one plain dictionary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice

from backend.database import schema
from backend.database.keys import ProjectKey, project_text, read_project
from backend.qa.annotators import agreement_matrix, annotator_table
from backend.qa.audit import audit_reasons
from backend.qa.events import Row
from backend.qa.figures import (
    NO_SHARE,
    cluster_of,
    clustered_share,
    group,
    holds_for_most,
    macro,
    mean_of_points,
    of_clusters,
    point_of,
    pointing,
    share_of_points,
)
from backend.qa.queries import of_project, readable_rows, resolve, told_apart
from backend.qa.store import Store
from backend.qa.suspects import audit_items, suspects
from videogem.metrics import Clusters

DIMENSIONS = ("label", "verb", "object", "annotator", "model_version", "project_id", "video")
OUTCOMES = ("accepted", "moved", "resized", "relabelled", "deleted", "added", "skipped")
SMALL_N = 10  # figures on fewer samples are shown greyed
ROLLING = 50  # points in the rolling window
MOST_CURVE_POINTS = 400


@dataclass(frozen=True)
class Filters:
    """What to look at; empty means everything. The same names are the page's URL parameters."""

    project: ProjectKey | None = None
    label: str = ""
    verb: str = ""
    object: str = ""
    annotator: str = ""
    model_version: str = ""
    video: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Filters":
        """Read them from texts, such as a URL's.

        Raises:
            InputError: the project is no number.
        """
        texts = {f.name: values.get(f.name, "").strip() for f in fields(cls)}
        project = texts.pop("project")
        return cls(project=read_project(project) if project else None, **texts)

    def active(self) -> dict[str, str]:
        """The filters in use."""
        texts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "project"}
        chosen = {} if self.project is None else {"project": project_text(self.project)}
        return chosen | {name: value for name, value in texts.items() if value}

    def keep(self, row: Row) -> bool:
        """Say whether a score row is selected; days compare as text."""
        for name in ("label", "verb", "object", "annotator", "model_version", "video"):
            wanted = getattr(self, name)
            if name == "label" and row["kind"] == "annotation":
                continue
            if wanted and str(row.get(name)) != wanted:
                return False
        day = str(row["at"])
        if self.since and day < self.since:
            return False
        return not self.until or day[: len(self.until)] <= self.until


def build_report(store: Store, filters: Filters, *, tolerance: float = 5.0) -> Row:
    """Every figure of the selection; ``tolerance`` is in % of the diagonal (keypoint projects)."""
    store.process_pending()
    everything, unreadable = readable_rows(store, filters.project)
    tables = _state(store, resolve(store, filters.project))
    if len({row["server"] for row in everything}) > 1:
        everything = told_apart(everything, ("annotator",))
        tables["annotations"] = told_apart(tables["annotations"], ("annotator",))
    rows = [row for row in everything if filters.keep(row)]
    if filters.label:  # of the annotations, those that hold the label
        holders = {_annotation(row) for row in rows if row["kind"] != "annotation"}
        rows = [row for row in rows if _annotation(row) in holders]
    counted = [row for row in rows if row["counted"]]
    # Of one version: also what was drawn independently and is known to compare it with.
    versions = [row for row in rows if row["counted"] or row.get("compared")]
    if filters.model_version:
        counted = versions
    chosen = {_annotation(row) for row in rows}
    annotations = [a for a in tables["annotations"] if (a["server"], a["id"]) in chosen]
    listed = suspects(audit_items(tables["tasks"], annotations, rows))
    return {
        "filters": filters.active(),
        "headline": pointing(counted),
        "macro": macro(counted),
        "subsets": subsets(counted),
        "accepted": _accepted(counted),
        "bulk": sum(row["kind"] == "annotation" and row["outcome"] == "bulk" for row in rows),
        "skipped": _skipped(rows),
        "outcomes": _outcomes(rows),
        "overlap": _overlap(counted),
        "distance": {
            "diagonal": mean_of_points(_points(counted), "distance_diagonal"),
            "side": mean_of_points(_points(counted), "distance_side"),
        },
        "keypoints_only": keypoints_only(counted, tolerance),
        "breakdowns": {
            name: breakdown(_apart(versions if name == "model_version" else counted), name)
            for name in DIMENSIONS
        },
        "curve": curve(counted),
        "annotators": annotator_table(rows, annotations),
        "agreement": [
            {"first": first, "second": second, **figure}
            for (first, second), figure in agreement_matrix(
                annotations, tables["predictions"]
            ).items()
        ],
        "audit": _with_links(listed, rows),
        "audit_counts": {
            reason: count
            for reason in audit_reasons()
            if (count := sum(any(r["reason"] == reason for r in s["reasons"]) for s in listed))
        },
        "choices": {name: _values(everything, name) for name in DIMENSIONS if name != "project_id"},
        "projects": _projects(store),
        "sync_errors": _sync_errors(store, filters.project),
        "without_prediction": sum(
            r["kind"] == "annotation" and r["outcome"] == "no prediction" for r in rows
        ),
        "inbox": store.inbox_counts(),
        "unreadable": unreadable,
        "left_out": sum(row.get("left_out") or 0 for row in rows),
    }


def subsets(counted: Sequence[Row]) -> dict[str, Row]:
    """The headline apart by how the reviewer came to the label: seeing a prediction biases."""
    free = [r for r in counted if r["independent"] or r["ground_truth"]]
    seen = [r for r in counted if not r["independent"] and not r["ground_truth"]]
    return {
        "independent": pointing(free),
        "edited": pointing(r for r in seen if not r["accepted"]),
    }


def breakdown(counted: Sequence[Row], name: str) -> list[Row]:
    """Figures by one property, the largest first, each with n and interval."""
    rows = []
    for value, part in group(counted, lambda r: r.get(name)).items():
        figure = pointing(part)
        overlap = mean_of_points(_boxes(part), "iou")
        distance = mean_of_points(_points(part), "distance_diagonal")
        if figure["n"] or overlap["n"] or distance["n"]:
            rows.append(
                {
                    "name": value,
                    **figure,
                    "mean_iou": overlap["mean"],
                    "distance": distance["mean"],
                    "small": figure["n"] < SMALL_N,
                }
            )
    return sorted(rows, key=lambda row: (-row["n"], str(row["name"])))


def curve(counted: Sequence[Row]) -> list[Row]:
    """Accuracy after each judged point: over all so far, and over the last ``ROLLING``.

    A point stands where it was first judged; later reviews of it change what is said of it.
    """
    judged = [row for row in counted if row["hit"] is not None]
    reviews: dict[object, list[bool]] = {}
    clusters = Clusters()
    points: list[Row] = []
    step = max(1, len(judged) // MOST_CURVE_POINTS)
    for position, row in enumerate(judged, 1):
        known = reviews.setdefault(point_of(row), [])
        before = holds_for_most(known) if known else None
        known.append(bool(row["hit"]))
        change = holds_for_most(known) - bool(before)
        clusters.add(cluster_of(row), change, samples=before is None)
        if position % step and position != len(judged):
            continue
        if points and points[-1]["n"] == clusters.samples:
            points.pop()
        recent = [holds_for_most(one) for one in islice(reversed(reviews.values()), ROLLING)]
        figure = of_clusters(clusters)
        points.append(
            {
                **{name: figure[name] for name in ("n", "accuracy", "low", "high")},
                "at": row["at"],
                "rolling": sum(recent) / len(recent) if figure["n"] >= SMALL_N else None,
            }
        )
    return points


def keypoints_only(counted: Sequence[Row], tolerance: float) -> Row:
    """Points that no box can judge: hits within a distance of the corrected point.

    A deleted one is none.
    """

    def near(row: Row) -> bool | None:
        if row.get("truth") or row.get("stand_in"):
            return None
        if row["hit"] is not None:
            return False if row["outcome"] == "deleted" else None
        away = row.get("distance_diagonal")
        return None if away is None else bool(away <= tolerance)

    return {"tolerance": tolerance, **share_of_points(_points(counted), near)}


def _overlap(counted: Sequence[Row]) -> Row:
    def at_least(least: float) -> Row:
        return share_of_points(
            _boxes(counted), lambda row: None if row.get("iou") is None else row["iou"] >= least
        )

    return {
        **mean_of_points(_boxes(counted), "iou"),
        "at_30": at_least(0.3),
        "at_50": at_least(0.5),
    }


def _points(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == "point" and row["outcome"] != "added"]


def _boxes(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] in ("box", "track") and row["outcome"] != "added"]


def _outcomes(rows: Sequence[Row]) -> list[Row]:
    """What became of predicted regions; added ones are no part of those, so they have no share."""
    regions = [row for row in rows if row["kind"] != "annotation" and row["outcome"] in OUTCOMES]
    predicted = [row for row in regions if row["outcome"] != "added"]
    shares = {
        outcome: clustered_share((cluster_of(r), r["outcome"] == outcome) for r in predicted)
        for outcome in OUTCOMES
    }
    shares["added"] = {**NO_SHARE, "hits": len(regions) - len(predicted)}
    return [{"outcome": outcome, **figure} for outcome, figure in shares.items()]


def _accepted(counted: Sequence[Row]) -> Row:
    """Share of annotations that are the prediction they were started from."""
    started = [
        row
        for row in counted
        if row["kind"] == "annotation" and row["outcome"] in ("accepted", "edited")
    ]
    return clustered_share((cluster_of(row), row["outcome"] == "accepted") for row in started)


def _skipped(rows: Sequence[Row]) -> Row:
    verdicts = [row for row in rows if row["kind"] == "annotation"]
    return clustered_share((cluster_of(row), row["outcome"] == "skipped") for row in verdicts)


def _annotation(row: Row) -> tuple[str, int]:
    return row["server"], row["annotation_id"]


def _apart(rows: Sequence[Row]) -> Sequence[Row]:
    """Score rows with their projects told apart, where they are of several servers."""
    several = len({row["server"] for row in rows}) > 1
    return told_apart(rows, ("project_id",)) if several else rows


def _projects(store: Store) -> list[Row]:
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


def _state(store: Store, project: ProjectKey | None) -> dict[str, list[Row]]:
    tables = {"tasks": schema.tasks, "annotations": schema.annotations,
              "predictions": schema.predictions}  # fmt: skip
    return {name: store.rows(table, *of_project(table, project)) for name, table in tables.items()}


def _with_links(listed: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    verdicts = {_annotation(row): row for row in rows if row["kind"] == "annotation"}
    names = ("task_id", "project_id", "annotator", "narration", "media")
    return [
        {**suspect, **{name: verdicts[_annotation(suspect)][name] for name in names}}
        for suspect in listed
        if _annotation(suspect) in verdicts
    ]


def _values(rows: Sequence[Row], name: str) -> list[str]:
    return sorted({str(row[name]) for row in rows if row.get(name) not in (None, "")})
