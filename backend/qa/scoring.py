"""One task's predictions against its annotations -> rows of figures. Pure.

What counts
    The unit is a predicted point (a predicted box or track where its canvas has no predicted
    point; then its centre stands in). It hits when it lies in any region of the action that the
    reviewer left, edges included.
    * Skipped annotations are reported apart and never counted; nor are those that Label Studio made
      of predictions in bulk: nobody looked at them.
    * What the reviewer deleted was wrong: a miss, whatever else was kept or drawn.
    * A point that was kept where no box, mask or track was drawn cannot be judged: no hit, no miss.
    * A track counts once, its frames are not independent: it hits when it does on at least half of
      its own key frames.
    * If a task has ground-truth annotations, only those count.
    * An annotation that was started from a prediction judges that one. One drawn independently
      judges every model version's; only the version in use now counts in figures over all versions.
    * Regions that cannot be read or are beyond the limits are counted as left out: no hit, no miss.

Which regions are the action's says ``matching``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from backend.labeling.shapes import number
from backend.qa.agreement import overlaps_of_task
from backend.qa.candidates import Candidates, is_independent, is_shown
from backend.qa.events import Row
from backend.qa.matching import (
    MatchedCanvas,
    Matching,
    is_dot,
    key_of,
    nearest_to,
    outcomes_of,
    pixels_between,
    with_ids,
)
from backend.qa.regions import (
    Reading,
    Region,
    area,
    bounds,
    centre,
    contains,
    corners_at,
    corners_iou,
    effort,
    overlap,
    read_result,
    step_of,
)
from backend.qa.words import words_of
from videogem.structures import Point

SCORING_VERSION = "6"  # a change makes the store recompute its scores
# Of one task, in comparisons of two boxes (some microseconds each): 300 points among 300 boxes that
# could each be anybody's. A region is no longer compared when they are used up.
MAX_EFFORT = 100_000
MAX_FACTS = 50_000  # score rows of the predicted regions of one task


def score_task(
    task: Row | None, annotations: Sequence[Row], predictions: Sequence[Row]
) -> list[Row]:
    """Score rows of every annotation of one task, in the order of annotation ids."""
    alive = [a for a in annotations if a["deleted_at"] is None]
    has_truth = any(a["ground_truth"] and not a["was_cancelled"] for a in alive)
    rows: list[Row] = []
    effort_left = _Effort(MAX_EFFORT, MAX_FACTS)
    overlaps = overlaps_of_task(alive, predictions)
    candidates = Candidates(predictions)
    for annotation in sorted(alive, key=lambda a: int(a["id"])):
        counted = not annotation["was_cancelled"] and (
            bool(annotation["ground_truth"]) or not has_truth
        )
        chosen = candidates.of(annotation)
        in_use = chosen[0] if chosen else None
        review = read_result(annotation["result"])

        def score(
            prediction: Row | None, *, counted: bool, annotation: Row = annotation,
            review: Reading = review,
        ) -> list[Row]:  # fmt: skip
            guess = candidates.read(prediction)
            return _score_annotation(
                task, annotation, prediction, guess, review, effort_left, counted=counted
            )

        found = score(in_use, counted=counted)
        if annotation["id"] in overlaps:
            found[0]["data"]["overlaps"] = overlaps[annotation["id"]]
        for other in chosen[1:]:
            facts = score(other, counted=False)[1:]
            # What is known of an annotation itself stands in the first rows alone.
            found += [{**row, "data": {**row["data"], "compared": counted}} for row in facts]
        rows += [{**row, "position": position} for position, row in enumerate(found)]
    return rows


def num_points(result: Sequence[Row]) -> int:
    """How many predicted points a prediction has: what a review of it can say hit or miss of."""
    predicted = with_ids(read_result(result).regions, [])
    matching = Matching(predicted, [])
    return sum(_is_point(region, matching.canvas_of(region)) for region in predicted)


def _is_point(region: Region, canvas: MatchedCanvas) -> bool:
    if region.kind == "track":
        return is_dot(region) or not canvas.has_dots
    if region.kind == "point":
        return not canvas.is_part(region)
    return _stands_in(region, canvas)


def _stands_in(region: Region, canvas: MatchedCanvas) -> bool:
    """Whether a predicted box or mask points in place of a point that its canvas has not."""
    return not canvas.has_points and (region.kind == "box" or not canvas.has_boxes)


class _Effort:
    """How many comparisons, and rows about predicted regions, are left for a task."""

    def __init__(self, left: int, facts: int) -> None:
        self._left = left
        self._facts = facts

    def has_room(self) -> bool:
        """Whether another row may be written; it counts as written."""
        self._facts -= 1
        return self._facts >= 0

    def spend_on(self, region: Region, truth: Sequence[Region]) -> bool:
        """Whether a region can still be compared with these; what is too dear stops nothing else
        that is cheap.
        """
        if len(truth) > self._left:
            return False
        number = 0
        for looked_at, each in enumerate(truth, 1):
            number += effort(region, each)
            if number > self._left:
                self._left -= looked_at
                return False
        self._left -= number
        return True


def _score_annotation(
    task: Row | None,
    annotation: Row,
    prediction: Row | None,
    guess: Reading,
    review: Reading,
    effort_left: _Effort,
    *,
    counted: bool,
) -> list[Row]:
    predicted, reviewed = with_ids(guess.regions, review.regions), review.regions
    words = words_of(task["data"] if task else {}, prediction["result"] if prediction else [])
    skipped = bool(annotation["was_cancelled"])
    independent = is_independent(annotation)
    # What became of regions can be told of the prediction that was shown, not of another one.
    shown = is_shown(prediction, annotation)
    outcomes = outcomes_of(predicted, reviewed, skipped=skipped, independent=not shown)
    accepted = shown and bool(predicted) and all(o == "accepted" for o in outcomes.values())
    bulk = accepted and not skipped and is_bulk(annotation)
    if bulk:
        counted, outcomes = False, dict.fromkeys(outcomes, "bulk")
    shared = {
        "annotator": annotation["annotator"],
        "model_version": prediction["model_version"] if prediction else None,
        "prediction_score": number(prediction["score"]) if prediction else None,
        "ground_truth": bool(annotation["ground_truth"]),
        "independent": independent,
        "accepted": accepted and not bulk,
        "lead_time": number(annotation["lead_time"]),
        "at": str(annotation["version"]).split(" ")[0],
        "created_at": annotation["created_at"],
        **words.row(),
    }
    verdict = (
        "skipped" if skipped
        else "no prediction" if prediction is None
        else "independent" if independent
        else "bulk" if bulk
        else "accepted" if accepted
        else "edited"
    )  # fmt: skip
    left_out = guess.left_out + review.left_out
    whole: Row = {"kind": "annotation", "outcome": verdict, **shared}
    facts: list[Row] = [whole]
    gave_nothing = not reviewed and (
        not annotation["result"] or annotation["parent_prediction"] is not None
    )
    matching = Matching(predicted, reviewed)
    for index, region in enumerate(predicted):
        if not effort_left.has_room():
            left_out += len(predicted) - index
            break
        truth = matching.canvas_of(region).action_regions(region)
        compared = effort_left.spend_on(region, truth)
        left_out += not compared
        facts.append(
            {
                **_region_facts(
                    region,
                    truth if compared else [],
                    matching,
                    gave_nothing=gave_nothing,
                    started=shown and bool(reviewed),
                ),
                "outcome": outcomes.get(key_of(region), "independent"),
                "place": guess.regions[index].id or f"#{index}",
                **shared,
            }
        )
        if skipped or bulk or not compared:
            facts[-1]["hit"] = facts[-1]["iou"] = None
    if left_out:
        whole["left_out"] = left_out
    known = {key_of(region) for region in predicted}
    for region in reviewed:
        if key_of(region) not in known and shown:
            facts.append({"kind": region.kind, **_identity(region), "outcome": "added", **shared})
    return [
        {
            "annotation_id": annotation["id"],
            "task_id": annotation["task_id"],
            "project_id": annotation["project_id"],
            "counted": counted,
            "hit": fact.get("hit"),
            "data": {k: v for k, v in fact.items() if k != "hit"},
        }
        for fact in facts
    ]


def is_bulk(annotation: Row) -> bool:
    """Whether nobody opened the task: made by "create annotations from predictions".

    Label Studio gives no other mark (1.23.2): such an annotation names its prediction and has no
    working time, which its editor always sends. One set as ground truth somebody stands for.
    """
    return (
        annotation["parent_prediction"] is not None
        and annotation["lead_time"] is None
        and not annotation["ground_truth"]
    )


def _region_facts(
    region: Region,
    truth: Sequence[Region],
    matching: Matching,
    *,
    gave_nothing: bool,
    started: bool,
) -> Row:
    """Hit, overlap and correction distance of one predicted region."""
    facts: Row = {"kind": region.kind, **_identity(region)}
    own = matching.own(region)
    canvas = matching.canvas_of(region)
    deleted = started and own is None
    judged = bool(truth) or gave_nothing or deleted
    facts["truth"] = [[list(p) for p in _shape(r, region)] for r in truth[:8]]
    if region.kind == "track":
        facts.update(_track_facts(region, truth, judged=judged))
        if deleted:
            facts["hit"] = False
        if is_dot(region):
            facts["iou"] = None
        elif canvas.has_dots:
            facts["hit"] = None  # the dot is what points
        return facts
    inside = not deleted and any(contains(r, region.point) for r in truth)
    if region.kind == "point":
        facts["part_hit" if canvas.is_part(region) else "hit"] = inside if judged else None
    else:
        stands_in = _stands_in(region, canvas)
        facts["iou"] = max((overlap(region, r) for r in truth), default=0.0) if judged else None
        if stands_in and judged:
            facts["stand_in"] = True
            facts["hit"] = inside
    target = own or canvas.nearest(region)
    still = [r for r in truth if r.kind != "track"]
    wrong = started and not inside and not canvas.is_part(region)
    if wrong and still and (target is None or pixels_between(region, target) < 1):
        # Deleted, or left where it was: what it should have pointed at says how far off it is.
        target = nearest_to(region, still)
    facts.update(_correction(region, target, truth))
    return facts


def _track_facts(track: Region, truth: Sequence[Region], *, judged: bool) -> Row:
    hits, overlaps = [], []
    for key in track.keys[:: step_of(track)]:
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


def _correction(region: Region, target: Region | None, truth: Sequence[Region]) -> Row:
    """How far the reviewer moved it: % of the image diagonal, and of the true box's side.

    The side is the square root of the true box's area. A region drawn anew is compared with the
    nearest of its kind; one that was wrong and has none, with the middle of the true region.
    """
    if target is None:
        return {}
    pixels = pixels_between(region, target)
    width, height = region.size_wh
    facts: Row = {
        "distance_diagonal": 100 * pixels / math.hypot(width, height),
        "corrected": list(target.point),
    }
    boxes = [r for r in truth if r.kind != "track"]
    if boxes:
        nearest = min(boxes, key=lambda r: pixels_between(target, r))
        side = math.sqrt(area(nearest.corners) * width * height)
        if side > 0:
            facts["distance_side"] = 100 * pixels / side
    return facts


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
