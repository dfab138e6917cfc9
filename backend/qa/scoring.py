"""One task's predictions against its annotations -> rows of figures. Pure.

What counts
    The unit is a predicted point (a predicted box or track where its canvas has no predicted
    point; then its centre stands in). It hits when it lies in any region of the action that the
    reviewer left, edges included.
    * Skipped annotations are reported apart and never counted.
    * A point whose region the reviewer deleted was wrong: a miss, also if nothing was left at all.
    * A point that was kept where no box, mask or track was drawn cannot be judged: no hit, no miss.
    * A track counts once, its frames are not independent: it hits when it does on at least half of
      its own key frames.
    * If a task has ground-truth annotations, only those count.

The action's regions
    Boxes and tracks on the same canvas, masks where there are neither. If the model pointed once,
    those with its box's label (any, if none has it), and its own box whatever became of it. If it
    pointed several times: the region that came from the point's own box, and regions of the same
    label that came from no other point's box. Points labelled "verb" or "object" beside another
    point show a part of the action: they are listed, not counted.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from backend.qa.events import Row
from backend.qa.regions import (
    Region,
    area,
    bounds,
    centre,
    contains,
    corners_at,
    corners_iou,
    overlap,
    read_regions,
)
from backend.qa.words import words_of
from videogem.structures import Point

SCORING_VERSION = "1"  # a change makes the store recompute its scores
UNCHANGED = 1e-4  # of the frame: the editor rewrites 30.0 as 30.000000000000004
TRUTH_KINDS = ("box", "track", "mask")
DOT = 0.025  # of the frame: a track of boxes this small stands for a point
PARTS = ("verb", "object")  # labels of points that show a part of the action


def score_task(
    task: Row | None, annotations: Sequence[Row], predictions: Sequence[Row]
) -> list[Row]:
    """Score rows of every annotation of one task, in the order of annotation ids."""
    alive = [a for a in annotations if a["deleted_at"] is None]
    has_truth = any(a["ground_truth"] and not a["was_cancelled"] for a in alive)
    rows: list[Row] = []
    for annotation in sorted(alive, key=lambda a: int(a["id"])):
        counted = not annotation["was_cancelled"] and (
            bool(annotation["ground_truth"]) or not has_truth
        )
        prediction = choose_prediction(annotation, predictions)
        rows += _score_annotation(task, annotation, prediction, counted=counted)
    return rows


def choose_prediction(annotation: Row, predictions: Sequence[Row]) -> Row | None:
    """The prediction an annotation is measured against.

    The one it was started from, by Label Studio's id; else the one whose region ids it carries;
    else the newest of the task, as older ones were replaced.
    """
    parent = annotation["parent_prediction"]
    newest = sorted(predictions, key=lambda p: (p["created_at"], p["key"]), reverse=True)
    for prediction in newest:
        if parent is not None and prediction["label_studio_id"] == parent:
            return prediction
    ids = {r.get("id") for r in annotation["result"] if r.get("id")}
    shared = [len(ids & {r.get("id") for r in p["result"]}) for p in newest]
    if shared and max(shared) > 0:
        return newest[shared.index(max(shared))]
    return newest[0] if newest else None


def _score_annotation(
    task: Row | None, annotation: Row, prediction: Row | None, *, counted: bool
) -> list[Row]:
    predicted = read_regions(prediction["result"]) if prediction else []
    reviewed = read_regions(annotation["result"])
    words = words_of(task["data"] if task else {}, prediction["result"] if prediction else [])
    skipped = bool(annotation["was_cancelled"])
    independent = annotation["parent_prediction"] is None and not any(
        r.get("origin") in ("prediction", "prediction-changed") for r in annotation["result"]
    )
    outcomes = outcomes_of(predicted, reviewed, skipped=skipped, independent=independent)
    accepted = bool(predicted) and all(o == "accepted" for o in outcomes.values())
    shared = {
        "annotator": annotation["annotator"],
        "model_version": prediction["model_version"] if prediction else None,
        "prediction_score": prediction["score"] if prediction else None,
        "ground_truth": bool(annotation["ground_truth"]),
        "independent": independent,
        "accepted": accepted and not independent,
        "lead_time": annotation["lead_time"],
        "at": str(annotation["version"]).split(" ")[0],
        "created_at": annotation["created_at"],
        **words.row(),
    }
    verdict = (
        "skipped" if skipped
        else "no prediction" if prediction is None
        else "independent" if independent
        else "accepted" if accepted
        else "edited"
    )  # fmt: skip
    facts: list[Row] = [{"kind": "annotation", "outcome": verdict, **shared}]
    gave_nothing = not reviewed and (
        not annotation["result"] or annotation["parent_prediction"] is not None
    )
    for region in predicted:
        facts.append(
            {
                **_region_facts(
                    region, predicted, reviewed, gave_nothing=gave_nothing, started=not independent
                ),
                "outcome": outcomes.get(_key(region), "independent"),
                **shared,
            }
        )
        if skipped:
            facts[-1]["hit"] = facts[-1]["iou"] = None
    known = {_key(region) for region in predicted}
    for region in reviewed:
        if _key(region) not in known and not independent and prediction is not None:
            facts.append({"kind": region.kind, **_identity(region), "outcome": "added", **shared})
    return [
        {
            "annotation_id": annotation["id"],
            "position": position,
            "task_id": annotation["task_id"],
            "project_id": annotation["project_id"],
            "counted": counted,
            "hit": fact.get("hit"),
            "data": {k: v for k, v in fact.items() if k != "hit"},
        }
        for position, fact in enumerate(facts)
    ]


def outcomes_of(
    predicted: Sequence[Region], reviewed: Sequence[Region], *, skipped: bool, independent: bool
) -> dict[tuple[str, str], str]:
    """What became of each region: region key -> accepted, moved, resized, relabelled, deleted,
    added, skipped. Label Studio keeps the ids of regions, so they say who is who."""
    if skipped:
        return {_key(region): "skipped" for region in predicted}
    if independent:
        return {}
    after = {_key(region): region for region in reviewed}
    outcomes = {_key(region): _outcome(region, after.get(_key(region))) for region in predicted}
    return {**dict.fromkeys(after, "added"), **outcomes}


def _outcome(before: Region, after: Region | None) -> str:
    if after is None:
        return "deleted"
    if before.canvas != after.canvas:
        return "moved"
    change = _geometry_change(before, after)
    if before.label != after.label:
        return "relabelled"
    return change or "accepted"


def _geometry_change(before: Region, after: Region) -> str | None:
    if before.mask is not None and after.mask is not None:
        same = before.mask.shape == after.mask.shape and bool((before.mask == after.mask).all())
        return None if same else "resized"
    if before.kind == "track":
        first = [(k.frame, k.enabled) for k in before.keys]
        if first != [(k.frame, k.enabled) for k in after.keys]:
            return "resized"
        pairs = [(a.corners, b.corners) for a, b in zip(before.keys, after.keys, strict=True)]
    else:
        pairs = [(before.corners, after.corners)]
    steps = [_step(a, b) for corners in pairs for a, b in zip(*corners, strict=True)]
    if all(max(abs(dx), abs(dy)) <= UNCHANGED for dx, dy in steps):
        return None
    per_shape = len(pairs[0][0])
    rigid = all(
        math.dist(steps[start], step) <= UNCHANGED
        for start in range(0, len(steps), per_shape)
        for step in steps[start : start + per_shape]
    )
    return "moved" if rigid else "resized"


def _step(a: Point, b: Point) -> Point:
    return b[0] - a[0], b[1] - a[1]


def _region_facts(
    region: Region,
    predicted: Sequence[Region],
    reviewed: Sequence[Region],
    *,
    gave_nothing: bool,
    started: bool,
) -> Row:
    """Hit, overlap and correction distance of one predicted region."""
    facts: Row = {"kind": region.kind, **_identity(region)}
    truth = action_regions(region, predicted, reviewed)
    own = next((r for r in reviewed if _key(r) == _key(region)), None)
    deleted = started and own is None and bool(reviewed)
    judged = bool(truth) or gave_nothing or deleted
    facts["truth"] = [[list(p) for p in _shape(r, region)] for r in truth[:8]]
    if region.kind == "track":
        facts.update(_track_facts(region, truth, judged=judged))
        beside = [r for r in predicted if r.canvas == region.canvas]
        if _is_dot(region):
            facts["iou"] = None
        elif any(_is_dot(r) for r in beside):
            facts["hit"] = None  # the dot is what points
        return facts
    if region.kind == "point":
        hits = any(contains(r, region.point) for r in truth) if judged else None
        facts["part_hit" if _is_part(region, predicted) else "hit"] = hits
        facts.update(_correction(region, own, truth, reviewed))
    else:
        on_canvas = [r for r in predicted if r.canvas == region.canvas]
        pointed = any(r.kind == "point" for r in on_canvas)
        first_box = next((r for r in on_canvas if r.kind == "box"), None)
        stands_in = not pointed and (region.kind == "box" or first_box is None)
        facts["iou"] = max((overlap(region, r) for r in truth), default=0.0) if judged else None
        if stands_in and judged:
            facts["stand_in"] = True
            facts["hit"] = any(contains(r, region.point) for r in truth)
        facts.update(_correction(region, own, truth, reviewed))
    return facts


def _track_facts(track: Region, truth: Sequence[Region], *, judged: bool) -> Row:
    hits, overlaps = [], []
    for key in track.keys:
        shapes = [corners_at(r, key.frame) for r in truth if r.kind == "track"]
        shown = [s for s in shapes if s is not None]
        hits.append(any(contains(truth[0], centre(key.corners), s) for s in shown))
        overlaps.append(max((corners_iou(key.corners, s) for s in shown), default=0.0))
    if not judged:
        return {"hit": None, "iou": None}
    return {
        "hit": 2 * sum(hits) >= len(hits),
        "iou": math.fsum(overlaps) / len(overlaps),
        "frames": len(hits),
        "frame_hits": sum(hits),
    }


def _correction(
    region: Region, own: Region | None, truth: Sequence[Region], reviewed: Sequence[Region]
) -> Row:
    """How far the reviewer moved it: % of the image diagonal, and of the true box's side.

    The side is the square root of the true box's area. A region drawn anew is compared with the
    nearest of its kind.
    """
    same = [r for r in reviewed if r.kind == region.kind and r.canvas == region.canvas]
    target = own or min(same, key=lambda r: _pixels(region, r), default=None)
    if target is None:
        return {}
    pixels = _pixels(region, target)
    width, height = region.size_wh
    facts: Row = {
        "distance_diagonal": 100 * pixels / math.hypot(width, height),
        "corrected": list(target.point),
    }
    boxes = [r for r in truth if r.kind != "track"]
    if boxes:
        nearest = min(boxes, key=lambda r: _pixels(target, r))
        side = math.sqrt(area(nearest.corners) * width * height)
        if side > 0:
            facts["distance_side"] = 100 * pixels / side
    return facts


def _pixels(a: Region, b: Region) -> float:
    width, height = a.size_wh
    return math.hypot((a.point[0] - b.point[0]) * width, (a.point[1] - b.point[1]) * height)


def action_regions(
    region: Region, predicted: Sequence[Region], reviewed: Sequence[Region]
) -> list[Region]:
    """The reviewer's regions that show the action this predicted region stands for."""
    there = [r for r in reviewed if r.canvas == region.canvas and r.kind in TRUTH_KINDS]
    there = [r for r in there if not _is_dot(r)]
    drawn = [r for r in there if r.kind != "mask"] or there
    if region.kind == "mask" and any(r.kind == "mask" for r in there):
        drawn = [r for r in there if r.kind == "mask"]
    rivals = [r for r in predicted if r.canvas == region.canvas and r.kind == region.kind]
    rivals = [r for r in rivals if r is region or not _is_part(r, predicted)]
    rivals = [r for r in rivals if _is_dot(r) == _is_dot(region)]
    partners = {_key(r): _partner(r, rivals, predicted) for r in rivals}
    partner = partners[_key(region)]
    label = (partner or region).label
    own = [r for r in drawn if partner is not None and _key(r) == _key(partner)]
    taken = {_key(p) for k, p in partners.items() if p is not None and k != _key(region)}
    free = [r for r in drawn if _key(r) not in taken and r not in own]
    labelled = [r for r in free if r.label == label]
    if own or labelled:
        return [*own, *labelled]
    return free if len(rivals) == 1 else []


def _partner(
    region: Region, rivals: Sequence[Region], predicted: Sequence[Region]
) -> Region | None:
    """The predicted box that belongs to a predicted point: by order if numbers agree, else near."""
    if region.kind != "point" and not _is_dot(region):
        return region
    boxes = [r for r in predicted if r.canvas == region.canvas and r.kind in ("box", "track")]
    boxes = [r for r in boxes if not _is_dot(r)]
    boxes = boxes or [r for r in predicted if r.canvas == region.canvas and r.kind == "mask"]
    if len(boxes) == len(rivals):
        return boxes[list(rivals).index(region)]
    if region.kind == "track":
        return next((r for r in boxes if r.label == region.label), None)
    still = (r for r in boxes if r.kind != "track")
    return min(still, key=lambda r: _pixels(region, r), default=None)


def _is_dot(region: Region) -> bool:
    """Videos have no points, so a point there is a track of boxes too small to hold anything."""
    return region.kind == "track" and all(
        x2 - x1 <= DOT and y2 - y1 <= DOT
        for x1, y1, x2, y2 in (bounds(key.corners) for key in region.keys)
    )


def _is_part(region: Region, predicted: Sequence[Region]) -> bool:
    if region.kind != "point" or (region.label or "").lower() not in PARTS:
        return False
    beside = (r for r in predicted if r.canvas == region.canvas and r.kind == "point")
    return any((r.label or "").lower() not in PARTS for r in beside)


def _identity(region: Region) -> Mapping[str, Any]:
    shape = region.keys[0].corners if region.keys else region.corners
    facts: Row = {
        "region": region.id,
        "label": region.label,
        "item": region.canvas[1],
        "size": list(region.size_wh),
        "score": region.score,
    }
    if region.kind == "point":
        facts["point"] = list(region.point)
    else:
        facts["box"] = list(bounds(shape))
    if region.keys:
        facts["frame"] = region.keys[0].frame
    return facts


def _shape(truth: Region, predicted: Region) -> Sequence[Point]:
    if not truth.keys:
        return truth.corners
    frame = predicted.keys[0].frame if predicted.keys else truth.keys[0].frame
    return corners_at(truth, frame) or truth.keys[0].corners


def _key(region: Region) -> tuple[str, str]:
    return region.id, region.kind
