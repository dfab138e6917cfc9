"""Who is who: which regions of a review belong to a predicted one, and what became of it. Pure.

The action's regions
    Boxes and tracks on the same canvas, masks where there are neither. If the model pointed once,
    those with its box's label (any, if none has it), and its own box whatever became of it. If it
    pointed several times: the region that came from the point's own box, and regions of the same
    label that came from no other point's box. Points labelled "verb" or "object" beside another
    point show a part of the action: they are listed, not counted.
"""

import math
from collections.abc import Sequence

from backend.qa.regions import Region, bounds
from videogem.structures import Point

UNCHANGED = 1e-4  # of the frame: the editor rewrites 30.0 as 30.000000000000004
TRUTH_KINDS = ("box", "track", "mask")
DOT = 0.025  # of the frame: a track of boxes this small stands for a point
PARTS = ("verb", "object")  # labels of points that show a part of the action


def action_regions(
    region: Region, predicted: Sequence[Region], reviewed: Sequence[Region]
) -> list[Region]:
    """The reviewer's regions that show the action this predicted region stands for."""
    there = [r for r in reviewed if r.canvas == region.canvas and r.kind in TRUTH_KINDS]
    there = [r for r in there if not is_dot(r)]
    drawn = [r for r in there if r.kind != "mask"] or there
    if region.kind == "mask" and any(r.kind == "mask" for r in there):
        drawn = [r for r in there if r.kind == "mask"]
    rivals = [r for r in predicted if r.canvas == region.canvas and r.kind == region.kind]
    rivals = [r for r in rivals if r is region or not is_part(r, predicted)]
    rivals = [r for r in rivals if is_dot(r) == is_dot(region)]
    partners = {key_of(r): _partner(r, rivals, predicted) for r in rivals}
    partner = partners[key_of(region)]
    label = (partner or region).label
    own = [r for r in drawn if partner is not None and key_of(r) == key_of(partner)]
    taken = {key_of(p) for k, p in partners.items() if p is not None and k != key_of(region)}
    free = [r for r in drawn if key_of(r) not in taken and r not in own]
    labelled = [r for r in free if r.label == label]
    if own or labelled:
        return [*own, *labelled]
    return free if len(rivals) == 1 else []


def _partner(
    region: Region, rivals: Sequence[Region], predicted: Sequence[Region]
) -> Region | None:
    """The predicted box that belongs to a predicted point: by order if numbers agree, else near."""
    if region.kind != "point" and not is_dot(region):
        return region
    boxes = [r for r in predicted if r.canvas == region.canvas and r.kind in ("box", "track")]
    boxes = [r for r in boxes if not is_dot(r)]
    boxes = boxes or [r for r in predicted if r.canvas == region.canvas and r.kind == "mask"]
    if len(boxes) == len(rivals):
        return boxes[list(rivals).index(region)]
    if region.kind == "track":
        return next((r for r in boxes if r.label == region.label), None)
    still = (r for r in boxes if r.kind != "track")
    return min(still, key=lambda r: pixels_between(region, r), default=None)


def outcomes_of(
    predicted: Sequence[Region], reviewed: Sequence[Region], *, skipped: bool, independent: bool
) -> dict[tuple[str, str], str]:
    """What became of each region: region key -> accepted, moved, resized, relabelled, deleted,
    added, skipped. Label Studio keeps the ids of regions, so they say who is who."""
    if skipped:
        return {key_of(region): "skipped" for region in predicted}
    if independent:
        return {}
    after = {key_of(region): region for region in reviewed}
    outcomes = {key_of(region): _outcome(region, after.get(key_of(region))) for region in predicted}
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


def is_dot(region: Region) -> bool:
    """Videos have no points, so a point there is a track of boxes too small to hold anything."""
    return region.kind == "track" and all(
        x2 - x1 <= DOT and y2 - y1 <= DOT
        for x1, y1, x2, y2 in (bounds(key.corners) for key in region.keys)
    )


def is_part(region: Region, predicted: Sequence[Region]) -> bool:
    """Say whether a point shows the verb or the object, with the action's own point beside it."""
    if region.kind != "point" or (region.label or "").lower() not in PARTS:
        return False
    beside = (r for r in predicted if r.canvas == region.canvas and r.kind == "point")
    return any((r.label or "").lower() not in PARTS for r in beside)


def key_of(region: Region) -> tuple[str, str]:
    """What a region keeps when it is edited; a region and its mask may share an id."""
    return region.id, region.kind


def pixels_between(a: Region, b: Region) -> float:
    """Way from the middle of one region to that of another, in pixels of the frame."""
    width, height = a.size_wh
    return math.hypot((a.point[0] - b.point[0]) * width, (a.point[1] - b.point[1]) * height)
