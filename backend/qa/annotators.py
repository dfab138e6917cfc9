"""Who annotates how: acceptance, time, agreement with each other, the model and ground truth."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from backend.labeling.forms import types_of
from backend.qa.audit_items import agree
from backend.qa.events import Row
from backend.qa.figures import (
    cluster_of,
    clustered_share,
    group,
    mean,
    mean_of_points,
    pointing,
    share,
)
from backend.qa.regions import bounds, read_regions
from videogem.structures import Box

AGREE_IOU = 0.5  # two sets of boxes agree from this overlap on
Boxes = dict[int, list[Box]]  # boxes by item of the task


def annotator_table(scores: Sequence[Row], annotations: Sequence[Row]) -> list[Row]:
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


def _is_reviewed(row: Row) -> bool:
    """Whether a row is of a predicted region of the model in use that somebody judged."""
    judged = row.get("place") is not None and "compared" not in row
    return judged and row["outcome"] not in ("skipped", "bulk")


def agreement_matrix(
    annotations: Sequence[Row], predictions: Sequence[Row]
) -> dict[tuple[str, str], Row]:
    """Share of common tasks on which two agree; annotators as "12", model versions as "model: v1".

    Two agree on a task when the mean of their boxes' best overlaps is at least 0.5.
    """
    by_task: dict[tuple[str, int], dict[str, Boxes]] = defaultdict(dict)
    for annotation in sorted(annotations, key=lambda a: str(a["version"])):
        kept = annotation["deleted_at"] is None and not annotation["was_cancelled"]
        if kept and annotation["annotator"] is not None and annotation["task_id"] is not None:
            who = str(annotation["annotator"])
            by_task[_task(annotation)][who] = boxes_of(annotation["result"])
    for prediction in sorted(predictions, key=lambda p: str(p["created_at"])):
        if _task(prediction) in by_task and prediction["model_version"]:
            who = f"model: {prediction['model_version']}"
            by_task[_task(prediction)][who] = boxes_of(prediction["result"])
    counts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for task in by_task.values():
        for first, second in combinations(sorted(task), 2):
            if task[first] or task[second]:
                counts[first, second].append(_agreement(task[first], task[second]) >= AGREE_IOU)
    return {pair: share(sum(same), len(same)) for pair, same in sorted(counts.items())}


def boxes_of(result: Sequence[Row]) -> Boxes:
    """The boxes of each frame, tracks at their first key."""
    found: Boxes = defaultdict(list)
    for region in read_regions(result, types_of("box", "track")):
        corners = region.keys[0].corners if region.keys else region.corners
        found[region.canvas[1]].append(bounds(corners))
    return dict(found)


def _task(row: Row) -> tuple[str, int]:
    return row.get("server", ""), row["task_id"]


def _honeypots(annotations: Sequence[Row]) -> dict[int, Row]:
    """How often each annotator agrees with the ground truth of a task somebody else gave."""
    results: dict[int, list[bool]] = defaultdict(list)
    usable = [a for a in annotations if not a["was_cancelled"]]
    for same in group(usable, _task).values():
        truths = [a for a in same if a["ground_truth"]]
        if not truths:
            continue
        truth = boxes_of(truths[-1]["result"])
        for annotation in same:
            if not annotation["ground_truth"] and annotation["annotator"] is not None:
                agreement = _agreement(truth, boxes_of(annotation["result"]))
                results[annotation["annotator"]].append(agreement >= AGREE_IOU)
    return {annotator: share(sum(same), len(same)) for annotator, same in results.items()}


def _agreement(a: Boxes, b: Boxes) -> float:
    items = a.keys() | b.keys()
    if not items:
        return 1.0
    return sum(agree(a.get(i, []), b.get(i, [])) for i in items) / len(items)
