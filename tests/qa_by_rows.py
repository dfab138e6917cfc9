"""Every figure of the quality report counted row by row, as plainly as it can be said.

The store's report counts on columns and reads only what changed; this is what it must equal.
"""

import math
import statistics
from collections import defaultdict
from itertools import combinations, islice

from backend.database import schema
from backend.qa.agreement import AGREE_IOU, agreement, boxes_of
from backend.qa.curve import MOST_CURVE_POINTS, ROLLING, SMALL_N
from backend.qa.figures import NO_SHARE, cluster_of, group, holds_for_most, mean, point_of, share
from backend.qa.queries import of_project, readable_rows, resolve, told_apart
from backend.qa.report import OUTCOMES
from backend.qa.table import DIMENSIONS
from videogem.metrics import Clusters


def clustered_share(outcomes):
    """Share of the outcomes that are true, its interval over their clusters."""
    counted = Clusters()
    for cluster, outcome in outcomes:
        counted.add(cluster, int(outcome))
    return of_clusters(counted)


def of_clusters(counted):
    """The share of hits in clusters, with how many of them there are."""
    if not len(counted):
        return {**NO_SHARE}
    low, high = counted.interval()
    hits, n = int(counted.hits), counted.samples
    return {"n": n, "hits": hits, "accuracy": hits / n, "low": low, "high": high,
            "clusters": len(counted)}  # fmt: skip


def pointing(rows):
    """Pointing accuracy of the rows that have a hit or a miss."""
    return share_of_points(rows, lambda row: row.get("hit"))


def share_of_points(rows, verdict):
    """Share of predicted points (or boxes) with a verdict; None: it has none."""
    points = defaultdict(list)
    clusters = {}
    for row in rows:
        found = verdict(row)
        if found is not None:
            point = point_of(row)
            points[point].append(bool(found))
            clusters[point] = cluster_of(row)
    return clustered_share(
        (clusters[point], holds_for_most(found)) for point, found in points.items()
    )


def mean_of_points(rows, name):
    """Mean over predicted points of the mean over their reviews; its interval over videos."""
    points = defaultdict(list)
    clusters = {}
    for row in rows:
        value = row.get(name)
        if value is not None:
            point = point_of(row)
            points[point].append(value)
            clusters[point] = cluster_of(row)
    return _mean_over(
        (clusters[point], math.fsum(values) / len(values)) for point, values in points.items()
    )


def _mean_over(values):
    counted = Clusters()
    known = []
    for cluster, value in values:
        counted.add(cluster, value)
        known.append(value)
    if not known:
        return {"n": 0, "mean": None, "low": None, "high": None, "median": None}
    low, high = counted.mean_interval() if len(counted) > 1 else (None, None)
    return {
        "n": len(known),
        "mean": math.fsum(known) / len(known),
        "low": low,
        "high": high,
        "median": statistics.median(known),
    }


def macro(rows, name="label"):
    """Mean of the accuracies by label, each label counting the same."""
    figures = [pointing(part)["accuracy"] for part in group(rows, lambda r: r.get(name)).values()]
    known = [figure for figure in figures if figure is not None]
    return math.fsum(known) / len(known) if known else None


def report_by_rows(store, filters, tolerance=5.0):
    """The report without its audit list and without what it says of the store."""
    everything, unreadable = readable_rows(store, resolve(store, filters.project))
    tables = {
        table.name: store.rows(table, *of_project(table, resolve(store, filters.project)))
        for table in (schema.annotations, schema.predictions)
    }
    several = len({row["server"] for row in everything}) > 1
    if several:
        everything = told_apart(everything, ("annotator",))
        tables["annotations"] = told_apart(tables["annotations"], ("annotator",))
    rows = [row for row in everything if keep(filters, row)]
    if filters.label:  # of the annotations, those that hold the label
        holders = {_annotation(row) for row in rows if row["kind"] != "annotation"}
        rows = [row for row in rows if _annotation(row) in holders]
    counted = [row for row in rows if row["counted"]]
    versions = [row for row in rows if row["counted"] or row.get("compared")]
    if filters.model_version:
        counted = versions
    chosen = {_annotation(row) for row in rows}
    annotations = [a for a in tables["annotations"] if (a["server"], a["id"]) in chosen]
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
            name: breakdown(_apart(versions if name == "model_version" else counted, several), name)
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
        "choices": {name: _values(everything, name) for name in DIMENSIONS if name != "project_id"},
        "without_prediction": sum(
            r["kind"] == "annotation" and r["outcome"] == "no prediction" for r in rows
        ),
        "unreadable": unreadable,
        "left_out": sum(row.get("left_out") or 0 for row in rows),
    }


def keep(filters, row):
    for name in ("label", "verb", "object", "annotator", "model_version", "video"):
        wanted = getattr(filters, name)
        if name == "label" and row["kind"] == "annotation":
            continue
        if wanted and str(row.get(name)) != wanted:
            return False
    day = str(row["at"])
    if filters.since and day < filters.since:
        return False
    return not filters.until or day[: len(filters.until)] <= filters.until


def subsets(counted):
    """The headline apart by how the reviewer came to the label: seeing a prediction biases."""
    free = [r for r in counted if r["independent"] or r["ground_truth"]]
    seen = [r for r in counted if not r["independent"] and not r["ground_truth"]]
    return {
        "independent": pointing(free),
        "edited": pointing(r for r in seen if not r["accepted"]),
    }


def breakdown(counted, name):
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


def curve(counted):
    """Accuracy after each judged point: over all so far, and over the last ``ROLLING``.

    A point stands where it was first judged; later reviews of it change what is said of it.
    """
    judged = [row for row in counted if row["hit"] is not None]
    reviews = {}
    clusters = Clusters()
    points = []
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


def keypoints_only(counted, tolerance):
    """Points that no box can judge: hits within a distance of the corrected point.

    A deleted one is none where nothing but points was predicted.
    """
    boxed = {
        (row["server"], row.get("annotation_id"))
        for row in counted
        if row["kind"] not in ("annotation", "point") and row["outcome"] != "added"
    }

    def near(row):
        if row.get("truth") or row.get("stand_in"):
            return None
        if row["hit"] is not None:
            bare = (row["server"], row.get("annotation_id")) not in boxed
            return False if row["outcome"] == "deleted" and bare else None
        away = row.get("distance_diagonal")
        return None if away is None else bool(away <= tolerance)

    return {"tolerance": tolerance, **share_of_points(_points(counted), near)}


def _overlap(counted):
    def at_least(least):
        return share_of_points(
            _boxes(counted), lambda row: None if row.get("iou") is None else row["iou"] >= least
        )

    return {
        **mean_of_points(_boxes(counted), "iou"),
        "at_30": at_least(0.3),
        "at_50": at_least(0.5),
    }


def _points(rows):
    return [row for row in rows if row["kind"] == "point" and row["outcome"] != "added"]


def _boxes(rows):
    return [row for row in rows if row["kind"] in ("box", "track") and row["outcome"] != "added"]


def _outcomes(rows):
    """What became of predicted regions; added ones are no part of those, so they have no share."""
    regions = [row for row in rows if row["kind"] != "annotation" and row["outcome"] in OUTCOMES]
    predicted = [row for row in regions if row["outcome"] != "added"]
    shares = {
        outcome: clustered_share((cluster_of(r), r["outcome"] == outcome) for r in predicted)
        for outcome in OUTCOMES
    }
    shares["added"] = {**NO_SHARE, "hits": len(regions) - len(predicted)}
    return [{"outcome": outcome, **figure} for outcome, figure in shares.items()]


def _accepted(counted):
    """Share of annotations that are the prediction they were started from."""
    started = [
        row
        for row in counted
        if row["kind"] == "annotation" and row["outcome"] in ("accepted", "edited")
    ]
    return clustered_share((cluster_of(row), row["outcome"] == "accepted") for row in started)


def _skipped(rows):
    verdicts = [row for row in rows if row["kind"] == "annotation"]
    return clustered_share((cluster_of(row), row["outcome"] == "skipped") for row in verdicts)


def _annotation(row):
    return row["server"], row["annotation_id"]


def _apart(rows, several):
    """Score rows with their projects told apart, where they are of several servers."""

    return told_apart(rows, ("project_id",)) if several else rows


def _values(rows, name):
    return sorted({str(row[name]) for row in rows if row.get(name) not in (None, "")})


def annotator_table(scores, annotations):
    """One row per annotator, the busiest first."""
    alive = [a for a in annotations if a["deleted_at"] is None]
    honeypots = _honeypots(alive)
    rows = []
    verdicts = [row for row in scores if row["kind"] == "annotation"]
    by_annotator = group(scores, lambda r: r["annotator"])
    for annotator, own in group(verdicts, lambda r: r["annotator"]).items():
        counts = {name: sum(r["outcome"] == name for r in own) for name in
                  ("bulk", "skipped")}  # fmt: skip
        started = [r for r in own if r["outcome"] in ("accepted", "edited")]
        regions = [r for r in by_annotator[annotator] if _is_reviewed(r)]
        rows.append(
            {
                "annotator": annotator,
                "annotations": len(own) - counts["skipped"] - counts["bulk"],
                "skipped": counts["skipped"],
                "bulk": counts["bulk"],
                "accepted": clustered_share(
                    (cluster_of(r), r["outcome"] == "accepted") for r in started
                ),
                "pointing": pointing(regions),
                "model_iou": mean_of_points(regions, "iou"),
                "lead_time": mean(r["lead_time"] for r in own),
                "ground_truth": honeypots.get(annotator, share(0, 0)),
            }
        )
    return sorted(rows, key=lambda row: (-row["annotations"], row["annotator"]))


def _is_reviewed(row):
    """Whether a row is of a predicted region of the model in use that somebody judged."""
    judged = row.get("place") is not None and "compared" not in row
    return judged and row["outcome"] not in ("skipped", "bulk")


def agreement_matrix(annotations, predictions):
    """Share of common tasks on which two agree; annotators as "12", model versions as "model: v1".

    Two agree on a task when the mean of their boxes' best overlaps is at least 0.5.
    """
    by_task = defaultdict(dict)
    for annotation in sorted(annotations, key=lambda a: str(a["version"])):
        kept = annotation["deleted_at"] is None and not annotation["was_cancelled"]
        if kept and annotation["annotator"] is not None and annotation["task_id"] is not None:
            who = str(annotation["annotator"])
            by_task[_task(annotation)][who] = boxes_of(annotation["result"])
    for prediction in sorted(predictions, key=lambda p: str(p["created_at"])):
        if _task(prediction) in by_task and prediction["model_version"]:
            who = f"model: {prediction['model_version']}"
            by_task[_task(prediction)][who] = boxes_of(prediction["result"])
    counts = defaultdict(list)
    for task in by_task.values():
        for first, second in combinations(sorted(task), 2):
            if task[first] or task[second]:
                counts[first, second].append(agreement(task[first], task[second]) >= AGREE_IOU)
    return {pair: share(sum(same), len(same)) for pair, same in sorted(counts.items())}


def _task(row):
    return row.get("server", ""), row["task_id"]


def _honeypots(annotations):
    """How often each annotator agrees with the ground truth of a task somebody else gave."""
    results = defaultdict(list)
    usable = [a for a in annotations if not a["was_cancelled"]]
    for same in group(usable, _task).values():
        truths = [a for a in same if a["ground_truth"]]
        if not truths:
            continue
        truth = boxes_of(truths[-1]["result"])
        for annotation in same:
            if not annotation["ground_truth"] and annotation["annotator"] is not None:
                found = agreement(truth, boxes_of(annotation["result"]))
                results[annotation["annotator"]].append(found >= AGREE_IOU)
    return {annotator: share(sum(same), len(same)) for annotator, same in results.items()}
